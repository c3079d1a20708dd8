"""Every limit of the node, each with its reason.

Limits that an operator may change are fields of the configuration whose default stands here;
limits that formats or other implementations depend on are constants only.
"""

from __future__ import annotations

NAME_OCTETS_MAX = 2_048
"""Octets of a handle: the limit of the reference server and of both IDIS SDKs."""

PREFIX_OCTETS_MAX = 255
"""Octets of a prefix: a prefix and its per-prefix keys always fit an LMDB key of 511 octets."""

ALLOTTED_PREFIX_OCTETS_MAX = 64
"""Octets of a prefix this node allots: the field length of the national business system (SNMS)."""

KEY_OCTETS_MAX = 480
"""Octets of any key of the store: 448 of the folded handle and a 32-octet digest (LMDB stops at 511)."""

KEY_WHOLE_OCTETS_MAX = 448
"""Folded handles up to this many octets are their own key; longer ones end in a digest."""

INDEX_MAX = 2**32 - 1
"""Largest index of a handle value: an unsigned 32-bit integer on the wire (RFC 3651 section 3.1)."""

VALUES_MAX = 2_048
"""Values of one record: the limit of both IDIS SDKs for one message."""

TYPE_OCTETS_MAX = 255
"""Octets of a value type; the longest predefined type has 15."""

REFERENCES_MAX = 64
"""References of one value; no use of more is known."""

TTL_DEFAULT_S = 86_400
"""TTL of a value that names none: one day, as in CNRI's server and the national SDKs."""

TTL_RELATIVE_MAX_S = 2**31 - 1
"""Largest relative TTL: a signed 32-bit integer in the reference implementation."""

RECORD_OCTETS_MAX = 1 << 20
"""Octets of one stored record; configurable downwards."""

MESSAGE_OCTETS_MAX = 4 << 20
"""Octets of one gRPC message: the default of every gRPC client for what it receives."""

SINGLE_MESSAGE_OCTETS_MAX = RECORD_OCTETS_MAX + (64 << 10)
"""Octets of a request that carries one record: the record, its name and room for fields."""

SMALL_MESSAGE_OCTETS_MAX = 64 << 10
"""Octets of a request that carries names and options only."""

ANSWER_OCTETS_MAX = MESSAGE_OCTETS_MAX - (128 << 10)
"""Octets of records in one answer; what does not fit is a miss that says so."""

BATCH_RESOLVE_MAX = 1_000
"""Names in BatchResolve: about 300 KB of usual records."""

BATCH_CREATE_MAX = 2_000
"""Rows of a batch or import chunk: the batch limit of the national SNMS OpenAPI."""

PAGE_DEFAULT = 100
"""Rows of a page when the request names no size (AIP-158)."""

PAGE_MAX = 1_000
"""Rows of a page at most."""

REQUEST_ID_OCTETS_MAX = 64
"""Octets of a request id; a UUID has 36."""

IMPORT_ID_OCTETS_MAX = 48
"""Octets of an import id: chunk numbers follow it in the request id."""

REQUEST_MEMORY_S = 48 * 3_600
"""Seconds that the outcome of a request id is kept: twice the 24 hours promised."""

METADATA_OCTETS_MAX = 8 << 10
"""Octets of request metadata on a gRPC call."""

STREAMS_MAX = 100
"""Concurrent streams of one HTTP/2 connection: with more, one client's resets starve the others."""

HANDSHAKE_TIMEOUT_S = 5.0
"""Seconds for the HTTP/2 or TLS handshake; silent connections are closed after it."""

SETTINGS_ACK_S = 15.0
"""Seconds that grpcio's core waits for each acknowledgement of its SETTINGS; it also sends some amid calls."""

CONNECTION_IDLE_S = 300.0
"""Seconds without a call after which a connection is closed."""

CONNECTION_AGE_S = 3_600.0
"""Seconds after which a connection is asked to reconnect, so that load spreads over new workers."""

CONNECTION_AGE_GRACE_S = 30.0
"""Seconds for calls in flight once a connection is told to go."""

PING_STRIKES_MAX = 2
"""Pings sooner than the interval before a connection is closed."""

PING_INTERVAL_MIN_S = 10.0
"""Least seconds between two pings of a connection without data."""

READ_AHEAD_THREADS = 8
"""Threads that read records ahead: the disk seeks for eight at once; more contend for the interpreter."""

LANE_QUEUE_MAX = 20_000
"""Write jobs waiting in a worker before further ones are refused as overloaded."""

GROUP_JOBS_MAX = 2_000
"""Write jobs of one commit: keeps the writer lock under about 100 ms."""

SOURCES_PER_DAY_MAX = 5_000
"""Source addresses that one prefix and day keep when they are too many; up to twice as many are counted exactly."""

DESCRIPTION_OCTETS_MAX = 1_024
"""Octets of a free description (orgDesc of the national enterprise record)."""

# Asking other nodes. One question may cause only so much work, whatever strangers write into their records: the lesson
# of the NXNS attack on DNS, where one query made a resolver send hundreds.

REFERRALS_MAX = 10
"""Referrals followed for one question: the recursion limit of the reference server."""

ALIASES_MAX = 8
"""HS_ALIAS values followed for one question; chains of more than two are unknown in practice."""

SITES_MAX = 13
"""Sites considered for one delegation: what BIND 9 looks at of a delegation since the NXNS attack."""

UPSTREAM_MESSAGES_MAX = 20
"""Messages sent to other nodes for one question, all its detours included."""

UPSTREAM_SECONDS_MAX = 5.0
"""Seconds for one question, all its detours included; clients of the Handle System give up soon after."""

UPSTREAM_ASK_SECONDS_MAX = 2.0
"""Seconds that one server gets for one answer, so that another one can still be asked."""

UPSTREAM_OCTETS_MAX = 64 << 10
"""Octets of one answer of another node; a record of a product has some hundred."""

RECURSIONS_MAX = 10
"""Nodes that have passed a question on before this one refuses to do so too (RFC 3652: recursion count)."""

UPSTREAM_SEARCHES_MAX = 1_024
"""Questions under way to other nodes in one worker; further ones are refused as overloaded."""

UPSTREAM_WAITING_MAX = 8_192
"""Callers that wait for those questions in one worker; further ones are refused as overloaded."""

UPSTREAM_PER_SERVER_MAX = 256
"""Questions under way to one server from one worker; further ones take turns, as long as they may wait at all."""

FOREIGN_TTL_MAX_S = 172_800
"""Seconds that another node's answer is kept at most: the cap of the reference client."""

NEGATIVE_TTL_S = 60
"""Seconds that another node's "not found" is kept: the Handle System gives it no TTL, and products are registered
while people look for them."""

FAILURE_TTL_S = 1.0
"""Seconds that a question is not asked again after all its servers failed (RFC 9520: at least one)."""

FAILURES_MAX = 10_000
"""Such questions that a worker keeps: some megabytes."""

REVALIDATE_S = 30
"""Seconds past its TTL that an answer is still given at once while it is fetched anew behind it."""

STALE_ANSWER_S = 1.8
"""Seconds that a caller waits for news while an old answer lies there (RFC 8767 section 5)."""

UPSTREAM_SILENT_QUESTIONS, UPSTREAM_SILENT_S = 50, 0.5
"""Questions that wait for a server, and seconds without any answer of it, after which they are given up together:
half the streams of an HTTP/2 connection, fewer than the 64 requests of one to the Handle door, and longer than one
lost packet of TCP takes (RTO: 0.2 s)."""

UPSTREAM_TRIAL_WAITING_MAX = 50
"""Questions in a worker that wait while others try servers that failed, for the same reason as many. Further
ones are refused at once, as all are before a server is tried."""

COOL_DOWN_S = (0.5, 2.0)
"""Seconds that a server which failed is left alone, at first and at most: one unlucky try more is still below five."""

FOREIGN_ENTRIES_MAX = 100_000
"""Answers of other nodes kept by one worker."""

FOREIGN_OCTETS_MAX = 64 << 20
"""Octets of the answers of other nodes kept by one worker."""

SERVERS_KNOWN_MAX = 4_096
"""Servers whose latency one worker remembers, and the connections it may hold to them."""

ROW_LOG_ENTRIES_MAX = 1_000_000
"""Entries of the row log that are kept: a mirror that was away for longer copies whole tables, which takes minutes."""

MIRRORS_MAX = 32
"""Mirrors of a primary: each costs a stream, and a place in the file in which workers see what mirrors hold."""
