"""``python -m resolver`` and the command ``idis``: both hand over to the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from resolver.cli.main import main as root  # noqa: PLC0415 - the commands load when they are called for

    root(prog_name="idis")


if __name__ == "__main__":
    main()
