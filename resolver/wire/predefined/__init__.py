"""The predefined value types (RFC 3651 section 3.2), one file each and all of the same shape.

A class per type with ``TYPES`` (the type names it stands for), ``FORMAT`` (its name in JSON),
``from_wire(data)``, ``to_wire()``, ``from_json(value)`` and ``to_json()``. ``catalog`` finds the class
of a type. Data that does not decode is never an error of the record: callers then treat it as octets.
"""
