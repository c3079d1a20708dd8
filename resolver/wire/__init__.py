"""The Handle codec: octets to messages and back (RFC 3652, DO-IRP 3.0, IDIS SDKs).

No clock, no randomness of its own, no socket, no store: time and random octets are arguments. Read in
this order: ``cursor`` (checked reading), ``envelope``, ``header``, ``values``, ``requests`` and
``responses`` (bodies), ``credential``, ``message`` (all of them together), then ``stream`` (TCP) and
``datagrams`` (UDP). Cryptographic forms stand beside them: ``digests``, ``challenges``,
``signatures``, ``sessions``, ``keys``, ``key_files`` and ``jws``.
"""
