"""Silent damage: a stored row whose octets changed without its seal."""


def damage(engine, table, key):
    """Flip the last bit of a stored row of an LMDB store."""
    with engine.write() as writer:
        row = bytearray(writer.get_row(table, key))
        row[-1] ^= 1
        writer.put_rows(table, [(key, bytes(row))])
