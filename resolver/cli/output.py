"""What a command prints, and what its exit code means.

Results go to standard output: lines for people, or JSON with one object a line, always UTF-8 and never
escaped to ASCII. Notes, progress and errors go to standard error; an error is one line that says what is wrong
and what to do. ``EXITS`` is the whole table of exit codes, ``Verb`` turns every failure of a command into
one of them. Nothing here knows what a command does.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.descriptor import EnumDescriptor
    from google.protobuf.message import Message

OK, FAILED, INVALID, UNREACHABLE, DENIED, NOT_FOUND, CONFLICT, STORE = range(8)
INTERRUPTED = 130

EXITS: dict[int, str] = {
    OK: "done",
    FAILED: "some rows or names failed, a check found something, or the node failed",
    INVALID: "the command line, a file or a value is not valid",
    UNREACHABLE: "the node cannot be reached or did not answer in time: try again",
    DENIED: "the credential is missing, wrong, or does not allow this",
    NOT_FOUND: "no such handle, value, prefix or row",
    CONFLICT: "it exists already, has another version, or is in a state that does not allow this",
    STORE: "the store or the disk is full, damaged, or cannot be opened",
    78: "the configuration is not valid (serve, config, doctor)",
    INTERRUPTED: "interrupted",
}
"""Every exit code and its meaning; scripts rely on them."""

_PATH_ERRORS = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
"""Errors of a path, whatever the state of the disk."""

BY_CODE: dict[int, int] = {
    1: UNREACHABLE,  # CANCELLED
    3: INVALID,  # INVALID_ARGUMENT
    4: UNREACHABLE,  # DEADLINE_EXCEEDED
    5: NOT_FOUND,  # NOT_FOUND
    6: CONFLICT,  # ALREADY_EXISTS
    7: DENIED,  # PERMISSION_DENIED
    8: STORE,  # RESOURCE_EXHAUSTED
    9: CONFLICT,  # FAILED_PRECONDITION
    10: CONFLICT,  # ABORTED
    11: INVALID,  # OUT_OF_RANGE
    14: UNREACHABLE,  # UNAVAILABLE
    15: STORE,  # DATA_LOSS
    16: DENIED,  # UNAUTHENTICATED
}
"""Exit code for each canonical gRPC code; FAILED for the others."""


def exit_of(codes: Iterable[int]) -> int:
    """The exit code for the canonical codes of several outcomes: the one they share, else FAILED; OK for none."""
    exits = {BY_CODE.get(code, FAILED) for code in codes if code}
    return exits.pop() if len(exits) == 1 else FAILED if exits else OK


class Failed(click.ClickException):
    """Ends a command with one line and an exit code."""

    def __init__(
        self,
        message: str,
        exit_code: int = FAILED,
        *,
        code: str = "",
        reason: str = "",
        fields: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class and reads it from self
        self.code = code
        self.reason = reason
        self.fields = fields or {}
        self.as_json = False

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error on standard error, as JSON when that was asked for."""
        if self.as_json:
            body = {"code": self.code, "reason": self.reason, "message": self.message, "fields": self.fields}
            error = {key: content for key, content in body.items() if content}
            click.echo(to_octets({"error": error, "exit_code": self.exit_code}), file=file, err=True)
            return
        detail = "".join(f"; {field}: {text}" for field, text in self.fields.items() if text != self.message)
        click.echo(f"error: {one_line(self.message + detail)}", file=file, err=True)


JSON_LINE = "idis.json_line"
"""Where the root context keeps whether ``--json`` stands anywhere on the command line."""


@contextmanager
def faults_of_line(*, as_json: bool) -> Iterator[None]:
    """Makes what click says of a wrong command line a ``Failed`` too, when JSON is wanted; exit codes stay."""
    try:
        yield
    except Failed as failed:
        failed.as_json = failed.as_json or as_json
        raise
    except click.ClickException as error:
        if not as_json:
            raise
        told = Failed(_fault(error), error.exit_code)
        told.as_json = True
        raise told from error


def _fault(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return error.format_message()
    # Of a group without a command the whole help is the message.
    nothing_said = error.message == ctx.get_help()
    message = "Missing command." if nothing_said else error.format_message()
    stop = "" if message.endswith((".", "?")) else "."
    return f"{message}{stop} Try '{ctx.command_path} --help' for help."


class Verb(click.Command):
    """A command that also takes ``--json`` after its name, and whose failures become exit codes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(
            click.Option(
                ["--json"], is_flag=True, expose_value=False, callback=_note_json, help="Print JSON, one object a line."
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every failure that can be foreseen ends it as ``Failed``."""
        try:
            with failures(ctx):
                return super().invoke(ctx)
        except Failed as failed:
            failed.as_json = wants_json(ctx)
            raise


class Family(click.Group):
    """A group of verbs, such as ``idis prefix``."""

    command_class = Verb


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        ctx.find_root().meta["idis.json"] = True


def wants_json(ctx: click.Context) -> bool:
    """Whether ``--json`` stood before or after the name of the command."""
    root = ctx.find_root()
    return bool(root.meta.get("idis.json") or root.params.get("as_json"))


@contextmanager
def failures(ctx: click.Context) -> Iterator[None]:
    """Turns the failures of the rooms below into ``Failed``."""
    from resolver.client.failures import CallFailed  # noqa: PLC0415 - loads gRPC, which most failures have loaded
    from resolver.errors import ResolverError  # noqa: PLC0415 - as above
    from resolver.intake.rows import IntakeError  # noqa: PLC0415 - as above
    from storage.errors import StorageError  # noqa: PLC0415 - as above

    try:
        yield
    except CallFailed as failed:
        raise _of_call(failed, ctx) from failed
    except IntakeError as error:
        where = f"row {error.number}: " if error.number else ""
        raise Failed(where + error.message, INVALID) from error
    except ResolverError as error:
        fields = {error.field: error.message} if error.field else {}
        raise Failed(
            error.message, BY_CODE.get(error.meaning.grpc, FAILED), reason=error.reason, fields=fields
        ) from error
    except StorageError as error:
        raise Failed(str(error), STORE) from error
    except BrokenPipeError:
        raise  # whoever read the output has enough: click ends quietly
    except OSError as error:
        if error.filename and error.errno in _PATH_ERRORS:
            raise unwritten(Path(os.fsdecode(error.filename)), error) from error
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise Failed(f"{what}: check the path, the rights and the room on the disk", STORE) from error
    except UnicodeError as error:
        shown = error.object if isinstance(error, (UnicodeEncodeError, UnicodeDecodeError)) else str(error)
        raise Failed(
            f"{ascii(shown)[:100]} is not UTF-8: check the locale of the terminal (LANG) or the encoding of the file",
            INVALID,
        ) from error
    except (KeyboardInterrupt, click.Abort):
        raise Failed("interrupted", INTERRUPTED) from None


def unwritten(path: Path, error: OSError) -> Failed:
    """What to raise for a file that somebody named and that cannot be made; tells of its directory if that is why."""
    if not path.parent.is_dir():
        return Failed(f"there is no directory {path.parent} for {path.name}: make it, or name another file", INVALID)
    return Failed(f"{path} cannot be written ({error.strerror or error}): name another file", INVALID)


def _of_call(failed: Any, ctx: click.Context) -> Failed:
    from resolver.cli.unreachable import unreachable  # noqa: PLC0415 - it asks this module for one_line

    why = failed  # the first attempt; or the last that the node itself refused, when time ended those after it
    while not why.reason and why.__cause__ is not None and hasattr(why.__cause__, "code"):
        why = why.__cause__
    if BY_CODE.get(failed.code.value[0]) == UNREACHABLE and why.reason:
        failed = why
    number = failed.code.value[0]
    message = failed.message
    if BY_CODE.get(number) == UNREACHABLE and not failed.reason:
        where = getattr(ctx.find_root().obj, "described", "the node")
        if failed.asked and failed.asked not in where:  # another server of the site
            where = f"the node at {failed.asked}"
        message = unreachable(where, why.message)
    elif failed.reason == "CREDENTIAL_MISSING":
        message = f"{message.partition(': ')[0]}: give --token-file FILE, or set IDIS_TOKEN_FILE"
    return Failed(
        message,
        BY_CODE.get(number, FAILED),
        code=failed.code.name,
        reason=failed.reason,
        fields=dict(failed.field_violations),
    )


def to_octets(shown: Any) -> bytes:
    """An object as one line of JSON in UTF-8, without the line end."""
    return json.dumps(shown, ensure_ascii=False).encode("utf-8", "backslashreplace")


def emit(ctx: click.Context, shown: Any, text: str) -> None:
    """Print a result: the object when JSON was asked for, else the text."""
    if wants_json(ctx):
        click.echo(to_octets(shown))
    else:
        click.echo(text)


def note(text: str) -> None:
    """Print a line for people on standard error."""
    click.echo(text, err=True)


def one_line(text: str) -> str:
    """The text with control characters escaped, so that it stays one line and no data can drive a terminal."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def speak_utf8() -> None:
    """Never fail to print a character that the terminal lacks."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def to_json(message: Message) -> dict[str, Any]:
    """A protobuf message as JSON: the names of the contract, numbers as numbers, enumerations as lower-case words."""
    shown: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        content = getattr(message, field.name)
        shown[field.name] = [_shown(field, item) for item in content] if field.is_repeated else _shown(field, content)
    return shown


def _shown(field: Any, content: Any) -> Any:
    if field.message_type is not None:
        return to_json(content)
    if field.enum_type is not None:
        return word_of(field.enum_type, content)
    return content.hex() if isinstance(content, bytes) else content


def word_of(enum: EnumDescriptor, number: int) -> str:
    """The word of an enumeration's number: ``enabled`` for PREFIX_STATUS_ENABLED, the number when it has none."""
    value = enum.values_by_number.get(number)
    return str(number) if value is None else value.name.removeprefix(_stem(enum)).lower().replace("_", "-")


def words_of(enum: EnumDescriptor) -> list[str]:
    """The words of an enumeration, without the one for zero."""
    return [word_of(enum, number) for number in sorted(enum.values_by_number) if number]


def number_of(enum: EnumDescriptor, word: str | None) -> Any:
    """The number of an enumeration's word; 0 for None."""
    return 0 if word is None else enum.values_by_name[_stem(enum) + word.upper().replace("-", "_")].number


def _stem(enum: EnumDescriptor) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"


def table(rows: Iterable[Iterable[Any]]) -> str:
    """Cells in aligned columns, two spaces between; wide characters count double."""
    shown = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    )


def padded(text: str, width: int) -> str:
    """The text with spaces behind it up to ``width`` columns of a terminal; wide characters take two."""
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    import unicodedata  # noqa: PLC0415 - only tables with other than ASCII need it

    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
