"""A black box against any node: its own tiny clients, its own reading of the contracts.

Imports neither ``resolver`` nor ``storage``: a defect of the product must not hide itself here.
``python -m conformance`` starts a node and judges it; ``python -m conformance grpc://HOST:PORT`` judges any.
"""
