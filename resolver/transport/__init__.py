"""The doors: one file for each protocol. Decode, ask the service, encode; nothing is decided here."""
