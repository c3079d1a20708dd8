"""The Handle batch format: blocks of operations in plain text, as the tools of the Handle System write them.

A block starts with an operation (CREATE, DELETE, ADD, REMOVE, MODIFY, HOME, UNHOME, AUTHENTICATE,
SESSIONSETUP) and ends at an empty line or at the next operation. Value lines are ``INDEX TYPE TTL
PERMISSIONS UTF8|ADMIN|LIST|FILE DATA``. Each block comes out as one ``Operation``, good or with its
error; ``rows`` gives those that register. Authentication is by API token here, so the blocks about
it are read and reported as ignored, and what secret they hold is dropped.

FILE reads octets of a file beside the batch file and never of one outside its directory.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from resolver import limits
from resolver.errors import InvalidValue, ResolverError
from resolver.handle.value import Ttl
from resolver.intake.encoding import LINE_OCTETS_MAX, Line, TextLines
from resolver.intake.predefined import admin_from_text, index_from_text, vlist_from_text
from resolver.intake.registration import check_indexes, check_name, new_handle, new_value, permissions_from_text
from resolver.intake.rows import Row, RowError, bad_row, nearest, refused_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from resolver.v1 import handle_pb2


class Kind(Enum):
    """What a block asks for."""

    CREATE = "CREATE"
    DELETE = "DELETE"
    ADD = "ADD"
    REMOVE = "REMOVE"
    MODIFY = "MODIFY"
    HOME = "HOME"
    UNHOME = "UNHOME"
    AUTHENTICATE = "AUTHENTICATE"
    SESSIONSETUP = "SESSIONSETUP"
    UNKNOWN = ""


class Operation(NamedTuple):
    """One block. ``number`` is the line of its first word; ``error`` says why it cannot be done.

    ``name`` is the handle, or the site of HOME and UNHOME; ``values`` belong to CREATE, ADD and MODIFY, ``indexes``
    to REMOVE. ``ignored`` marks blocks about authentication.
    """

    number: int
    kind: Kind
    name: str = ""
    values: tuple[handle_pb2.HandleValue, ...] = ()
    indexes: tuple[int, ...] = ()
    error: RowError | None = None
    ignored: bool = False

    def to_row(self) -> Row:
        """The block as a row: a registration for CREATE, else an error that says so."""
        if self.error is not None:
            return Row(self.number, None, self.error, self.name)
        if self.kind is not Kind.CREATE:
            return bad_row(
                self.number,
                "NOT_IMPLEMENTED",
                f"{self.kind.value} registers nothing and was not done: run it as a command of its own",
                self.name,
            )
        try:
            return Row(self.number, new_handle(self.name, self.values))
        except ResolverError as error:
            return refused_row(self.number, error, self.name)


class _Block(NamedTuple):
    """The lines of one block; ``body`` is cut off at ``overflow`` when it is longer than any record."""

    number: int
    word: str
    argument: str
    fault: str
    body: list[Line]
    overflow: bool = False


_WITH_BODY = frozenset({Kind.CREATE, Kind.ADD, Kind.MODIFY, Kind.HOME, Kind.UNHOME})
_OPERATION_LINE = re.compile(
    r"(CREATE|DELETE|ADD|REMOVE|MODIFY|HOME|UNHOME|AUTHENTICATE|SESSIONSETUP)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL
)
_VALUE_LINE = re.compile(r"\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)(?:\s(.*))?", re.DOTALL)
_TTL_TEXT = re.compile(r"[0-9]{1,10}")


def operations(stream: BinaryIO, folder: Path | None = None, encoding: str | None = None) -> Iterator[Operation]:
    """The blocks of a batch file. ``folder`` is its directory, for FILE data; None refuses FILE.

    Raises IntakeError when the file is no text.
    """
    for block in _blocks(TextLines(stream, encoding)):
        yield _operation(block, folder)


def rows(stream: BinaryIO, folder: Path | None = None, encoding: str | None = None) -> Iterator[Row]:
    """The blocks as rows, without those that are ignored. Raises IntakeError when the file is no text."""
    for operation in operations(stream, folder, encoding):
        if not operation.ignored:
            yield operation.to_row()


def _blocks(lines: TextLines) -> Iterator[_Block]:
    block: _Block | None = None
    held = 0
    for line in lines:
        text = line.text.rstrip("\r")
        if not line.fault and not text.strip():
            if block is not None:
                yield block
            block = None
            continue
        found = None if line.fault or _takes_any_line(block) else _OPERATION_LINE.fullmatch(text.strip())
        if found is not None or block is None:
            if block is not None:
                yield block
            word, argument = (found[1].upper(), found[2] or "") if found else ("", text.strip())
            block, held = _Block(line.number, word, argument.strip(), line.fault, []), 0
            continue
        held += len(text)
        if held > LINE_OCTETS_MAX or len(block.body) > limits.VALUES_MAX:
            block = block._replace(overflow=True)
        else:
            block.body.append(Line(line.number, text, line.fault))
    if block is not None:
        yield block


def _takes_any_line(block: _Block | None) -> bool:
    """Whether the next line belongs to the block whatever it says: the key line of AUTHENTICATE does."""
    return block is not None and block.word == Kind.AUTHENTICATE.value and not block.body


def _operation(block: _Block, folder: Path | None) -> Operation:
    number, word, argument = block.number, block.word, block.argument
    if block.fault:
        return Operation(number, Kind.UNKNOWN, error=RowError.of("INVALID_ENCODING", block.fault))
    if not word:
        first = argument.split(None, 1)[0]
        known = [kind.value for kind in Kind if kind.value]
        message = (
            f"{first[:40]!r} is no operation{nearest(first, known)}: start the block with one of {', '.join(known)}"
        )
        return Operation(number, Kind.UNKNOWN, error=RowError.of("MALFORMED_ROW", message))
    kind = Kind(word)
    if kind in {Kind.AUTHENTICATE, Kind.SESSIONSETUP}:
        return Operation(number, kind, ignored=True)
    if kind in {Kind.HOME, Kind.UNHOME}:
        message = f"{word} is for administrators of a node: use the prefix commands, and leave the block out"
        return Operation(number, kind, argument, error=RowError.of("NOT_IMPLEMENTED", message))
    return _handle_operation(block, kind, folder)


def _handle_operation(block: _Block, kind: Kind, folder: Path | None) -> Operation:
    name = block.argument
    indexes: tuple[int, ...] = ()
    try:
        if kind is Kind.REMOVE:
            listed, _, name = block.argument.partition(":")
            indexes = _indexes(listed, name)
        check_name(name)
        if block.overflow:
            raise InvalidValue(
                f"the block has more than {limits.VALUES_MAX} value lines or {LINE_OCTETS_MAX} octets: a handle has "
                "fewer; is an empty line missing?",
                field="values",
            )
        faults = [line for line in block.body if line.fault]
        if faults:
            return _failed(block, kind, name, RowError.of("INVALID_ENCODING", faults[0].fault))
        if block.body and kind not in _WITH_BODY:
            message = f"line {block.body[0].number}: {kind.value} takes no further lines: put an empty line between"
            return _failed(block, kind, name, RowError.of("MALFORMED_ROW", message))
        values = tuple(_value(line, folder) for line in block.body)
        check_indexes([value.index for value in values])
    except ResolverError as error:
        return _failed(block, kind, name, RowError(error.meaning.grpc, error.reason, error.message))
    return Operation(block.number, kind, name, values, indexes)


def _failed(block: _Block, kind: Kind, name: str, error: RowError) -> Operation:
    return Operation(block.number, kind, name, error=error)


def _indexes(listed: str, name: str) -> tuple[int, ...]:
    if not name:
        raise InvalidValue("REMOVE needs INDEX,INDEX:HANDLE, such as REMOVE 2,3:88.300.1/ABC", field="indexes")
    indexes = tuple(index_from_text(entry) for entry in listed.split(","))
    if 0 in indexes:
        raise InvalidValue(f"index 0 is outside 1 to {limits.INDEX_MAX}: give another number", field="indexes")
    return indexes


def _value(line: Line, folder: Path | None) -> handle_pb2.HandleValue:
    try:
        return _value_from_text(line.text, folder)
    except InvalidValue as error:
        raise InvalidValue(f"line {line.number}: {error.message}", field=error.field) from None


def _value_from_text(text: str, folder: Path | None) -> handle_pb2.HandleValue:
    found = _VALUE_LINE.fullmatch(text)
    if found is None:
        raise InvalidValue(
            f"{text[:80]!r} is no value: give INDEX TYPE TTL PERMISSIONS UTF8|ADMIN|LIST|FILE DATA", field="values"
        )
    index, type_, ttl, permissions, form, data = found.groups(default="")
    convert = _FORMS.get(form.upper())
    if convert is None:
        raise InvalidValue(
            f"{form[:20]!r} is no form of data{nearest(form, _FORMS)}: give one of {', '.join(_FORMS)}", field="data"
        )
    if _TTL_TEXT.fullmatch(ttl) is None:
        raise InvalidValue(f"{ttl[:20]!r} is no TTL: give seconds, such as 86400", field="ttl")
    return new_value(
        index_from_text(index),
        type_,
        convert(data, folder),
        ttl=Ttl(int(ttl)),
        permissions=permissions_from_text(permissions),
    )


def _from_utf8(data: str, _: Path | None) -> bytes:
    return data.encode()


def _from_admin(data: str, _: Path | None) -> bytes:
    return admin_from_text(data)


def _from_list(data: str, _: Path | None) -> bytes:
    return vlist_from_text(data)


def _from_file(data: str, folder: Path | None) -> bytes:
    """The octets of a file in the directory of the batch file, or below it."""
    if folder is None:
        raise InvalidValue("FILE data needs a batch file with a directory: save the input as a file", field="data")
    try:
        root = folder.resolve()
        path = (root / data.strip()).resolve()
        if not data.strip() or not path.is_relative_to(root):
            raise InvalidValue(
                f"FILE {data[:80]!r} is not in the directory of the batch file: copy it there", field="data"
            )
        with path.open("rb") as stream:
            octets = stream.read(limits.RECORD_OCTETS_MAX + 1)
    except (OSError, ValueError) as error:
        raise InvalidValue(f"FILE {data[:80]!r} cannot be read ({error}): correct its name", field="data") from None
    if len(octets) > limits.RECORD_OCTETS_MAX:
        raise InvalidValue(
            f"FILE {data[:80]!r} has more than {limits.RECORD_OCTETS_MAX} octets: keep it elsewhere and register its "
            "URL",
            field="data",
        )
    return octets


_FORMS: dict[str, Callable[[str, Path | None], bytes]] = {
    "UTF8": _from_utf8,
    "ADMIN": _from_admin,
    "LIST": _from_list,
    "FILE": _from_file,
}
