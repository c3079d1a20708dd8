"""What one HTTP client may take of a worker: octets, connections and seconds."""

from __future__ import annotations

HEADER_OCTETS_MAX = 32 << 10
"""Octets of request line and headers: a name of 2,048 octets is 6 KiB when every octet is percent-encoded."""

HEADERS_MAX = 100
"""Header lines of one request."""

HEADER_TIMEOUT_S = 10.0
"""Seconds for request line and headers, from their first octet or from the connection's start."""

BODY_TIMEOUT_S = 30.0
"""Seconds in which a body must bring ``BODY_PROGRESS_OCTETS`` or end."""

BODY_PROGRESS_OCTETS = 16 << 10
"""Octets that win a body another ``BODY_TIMEOUT_S``; what trickles more slowly is closed."""

WHOLE_BODY_OCTETS_MAX = 16 << 20
"""Octets up to which a body counts as one that its handler holds whole; longer ones are read as streams."""

BODIES_OCTETS_MAX = 256 << 20
"""Octets of bodies that one worker holds at a time; requests beyond are told to come again."""

DISCARD_OCTETS_MAX = 16 << 20
"""Octets of a refused body that are taken and forgotten, so that its sender can hear why."""

DISCARD_TIMEOUT_S = 5.0
"""Seconds that this may take."""

WRITE_TIMEOUT_S = 30.0
"""Seconds in which a client must take ``deadlines.WRITE_PROGRESS_OCTETS`` of what waits for it, or all of it."""

HANDSHAKE_TIMEOUT_S = 5.0
"""Seconds for the TLS handshake."""

CONNECTIONS_MAX = 10_000
"""Connections of one worker; further ones are closed at once."""

PIPELINE_MAX = 64
"""Requests of one connection waiting behind the one being answered."""

SWEEP_S = 1.0
"""Seconds between two looks at the deadlines."""

BACKLOG = 1_024
