"""The rules of the Handle protocol, tried from outside on any server: ``python -m conformance hdl://HOST:PORT``.

Written from RFC 3650 to 3652 and the recorded vectors beside it; it imports nothing of the node it may judge.
"""
