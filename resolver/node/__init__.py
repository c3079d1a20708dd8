"""Decides what to answer: plain functions and objects over one transaction, no asyncio, no socket.

Reading order: ``authorize`` (who may), ``prefixes`` (where), ``values`` (what may be stored), ``resolve``
(reading), ``ledger`` (one write transaction), ``administer`` (writing), ``outcomes`` (retries).
"""
