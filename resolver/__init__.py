"""The IDIS secondary node: registers, resolves and federates industrial-internet identifiers."""

__version__ = "0.1.0"
