"""Bounds of the HTTP/2 door beside those of ``limits.py``, and the bucket that measures rates.

Each number protects one worker: what a peer may make it hold, and how often it may ask for work that is no call.
"""

from __future__ import annotations

from resolver import limits

CONNECTIONS_MAX = 16_384
"""Connections of one worker: an idle one costs some 12 KB; the file descriptor limit may lower this."""

DESCRIPTORS_SPARE = 64
"""File descriptors left for the store, the logs and the other doors."""

BACKLOG = 1_024
"""Connections that the kernel holds until they are accepted."""

GREETING_OCTETS_MAX = 256
"""Octets of a preface with SETTINGS and what may follow them before anything is asked; clients send 60 to 120."""

CONNECTION_WINDOW_OCTETS = 8 << 20
"""DATA octets of one connection not yet read by handlers: two of the longest messages."""

STREAM_WINDOW_OCTETS = 256 << 10
"""DATA octets of one stream not yet read by its handler: at 50 ms round trip 5 MB/s."""

INBOX_OCTETS_MAX = 64 << 10
"""Octets of request messages waiting for a streaming handler, beyond which its window is no longer opened."""

HELD_OCTETS_MAX = 256 << 20
"""Octets of unfinished requests in one worker; calls that would add to more are refused as overloaded."""

HELD_OCTETS_FREE = 64 << 10
"""Octets of one unfinished request that are refused last: all that a small request may have."""

HELD_OCTETS_END = 2 * HELD_OCTETS_MAX
"""Octets of unfinished requests beyond which small ones are refused too. Whole requests in one read never are."""

CALL_OCTETS = 1_536
"""What an open call costs without a single octet of its request: headers alone must not fill the memory."""

QUEUE_OCTETS_MAX = 64 << 10
"""Octets of answers of one stream waiting for its window; beyond it the handler waits."""

ANSWERS_OCTETS_MAX = 4 << 20
"""Octets of answers of one connection waiting for windows; beyond it further requests wait unanswered."""

WRITE_OCTETS_HIGH = 256 << 10
"""Octets in the socket's buffer from which on nothing more is written or read."""

WRITE_OCTETS_LOW = 64 << 10
"""Octets in the socket's buffer at which writing and reading go on."""

WRITE_OCTETS = 96 << 10
"""Most octets of one piece of a write: below what malloc takes from the kernel and gives back each time, because a
fault for every page costs ten times as much as the copy."""

LONG_ANSWER_OCTETS = 16 << 10
"""Answers above this are watched until the peer has taken them."""

HEADER_LIST_OCTETS_MAX = 64 << 10
"""Header list that is still read, so that its call can be refused by name; a longer one ends the connection."""

HEADER_FIELDS_MAX = 256
"""Fields of a header list; a longer one ends the connection."""

CONTINUATIONS_MAX = 8
"""CONTINUATION frames of one header block: nghttp2's own bound against the flood of 2024 (CVE-2024-28182)."""

RESETS_RATE = (400, 50.0)
"""Streams a peer may cancel: at once, and a second after that (CVE-2023-44487); a cancelled hedge or watch is rare."""

RESETS_UNCOUNTED = (1 << 20, 1 << 20)
"""nghttp2's own bound on resets, out of the way: it would end the connection without saying why."""

SETTINGS_RATE = (30, 1.0)
"""SETTINGS frames of a peer: clients send one or two."""

PINGS_RATE = (100, 10.0)
"""PING frames of a peer that got no answer since its last one; bandwidth probes follow answers and are free."""

UPLOAD_IDLE_S = 30.0
"""Seconds without an octet of a request that has begun; its call is ended then."""

LATE_MAX = 256
"""Questions of one resolution stream that may wait for other nodes: their answers are not held back."""

TASKS_MAX = 2 * limits.STREAMS_MAX
"""Handlers of one connection still running, those of cancelled calls included."""

TICKETS_OCTETS_MAX = 32 << 10
"""Octets of header blocks of one connection whose meaning is remembered: some twenty of the usual ones."""

FIELD_OCTETS = 160
"""What a header field costs in memory beside its name and value."""

QUESTIONS_MAX = 100
"""Questions of a resolution stream answered in one message: some 30 KB of usual records."""

REFUSAL_DELAY_S = 0.02
"""Seconds that the refusal of a stream waits for the peer's first message."""

SHUTDOWN_NOTICE_S = 1.0
"""Seconds between the notice of leaving and the last stream that is taken, when the peer answers no ping."""


class Bucket:
    """Tokens that are spent one by one and grow back with time."""

    __slots__ = ("_burst", "_rate", "_seen_s", "_tokens")

    def __init__(self, bound: tuple[int, float], now_s: float) -> None:
        """Allow ``bound[0]`` at once and ``bound[1]`` a second after that."""
        self._burst, self._rate = bound
        self._tokens = float(self._burst)
        self._seen_s = now_s

    def spend(self, now_s: float) -> bool:
        """Take a token; False when there is none."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
