"""Client programs that run in an environment of their own; they import nothing of this tree but each other."""
