"""Limits that other implementations of the Handle protocol depend on, each with its source.

They are checked against the octets at hand before anything is allocated. Limits an operator may
change stand in ``resolver.limits``.
"""

from __future__ import annotations

MESSAGE_OCTETS_MAX = 262_144
"""Octets after the envelope that a server takes: the limit of the reference server and of its SDK forks."""

ANSWER_OCTETS_MAX = 16_672_500
"""Octets after the envelope that a client takes: the limit of the ID-SDK."""

FIELD_OCTETS_MAX = 1 << 20
"""Octets of one byte string: the limit of the reference library."""

INTEGER_OCTETS_MAX = 2_049
"""Octets of a big integer in a key: 16,384 bits and a sign octet, far above any key in use."""

DATAGRAM_OCTETS_MAX = 512
"""Octets of one UDP packet of the reference implementation (RFC 3652 section 2.3)."""

FRAGMENT_OCTETS = 492
"""Message octets in one UDP packet: 512 less the envelope."""

DATAGRAM_MESSAGE_OCTETS_MAX = 64 << 10
"""Octets of a message sent over UDP; larger ones belong on TCP, as the usual receive buffer has room for a few hundred
packets."""

FRAGMENT_ENTRIES_MAX = 1_024
"""Messages under reassembly at one time; a few thousand forged packets must not fill the memory."""

FRAGMENT_NETWORK_OCTETS_MAX = 64 << 10
"""Octets under reassembly for one source network (/24 or /64)."""

FRAGMENT_LIFETIME_S = 1.0
"""Seconds that the parts of a message wait for each other; the first retry of old clients comes after 0.5 s."""

HANDLES_PER_ANSWER_MAX = 50
"""Handles in one message of a list answer; more follow in further messages with the CONT flag."""

HANDLES_MAX = 65_536
"""Handles a client takes from one message of a list answer: what fits the message limit."""

SERVERS_MAX = 1_024
"""Servers of one HS_SITE; the largest site known has a dozen."""

INTERFACES_MAX = 64
"""Interfaces of one server; four protocols and two roles make eight."""

ATTRIBUTES_MAX = 256
"""Attributes of one HS_SITE."""

REFERENCES_MAX = 2_048
"""References of one value that are read; what is stored here has fewer, see ``resolver.limits``."""

ADMINISTRATORS_MAX = 4_096
"""References of one HS_VLIST."""

PBKDF2_ITERATIONS_MAX = 100_000
"""Iterations a peer may ask for in a challenge answer: ten times what the reference client uses."""

PBKDF2_KEY_BITS_MAX = 1_024
"""Key bits a peer may ask for in a challenge answer; 160 is in use."""

PBKDF2_WORK_MAX = 100_000
"""Iterations of all 160-bit blocks of a key together: forty milliseconds that a stranger's answer can cost."""

NONCE_OCTETS = 16
"""Octets of a challenge nonce: 128 bits."""

SESSION_KEY_OCTETS = 32
"""Octets of a session key derived by Diffie-Hellman."""

JWS_OCTETS_MAX = 256 << 10
"""Octets of a JSON web signature in a value."""
