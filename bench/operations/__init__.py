"""One file for each operation; each has ``run(settings) -> Report`` and a docstring whose first line is its help."""
