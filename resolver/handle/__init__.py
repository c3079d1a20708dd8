"""The nouns of the Handle System: frozen data, no input or output, no wire encoding."""
