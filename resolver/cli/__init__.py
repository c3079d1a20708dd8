"""The command line ``idis``: one file for each family of commands, the root group in ``main``.

A command reads its arguments, calls one room and prints what came back; it decides nothing. Messages go to
standard error and name the remedy, results go to standard output, ``--json`` makes them JSON.
"""
