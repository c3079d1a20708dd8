"""The blocks of a Handle batch file as operations of a client, one line of outcome for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resolver.cli.output import emit, one_line
from resolver.errors import ResolverError
from resolver.intake.hdl_batch import Kind, operations
from resolver.node.values import from_pb

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from resolver.client.handle import HandleSystem
    from resolver.intake.hdl_batch import Operation


class Done(NamedTuple):
    """How many blocks were carried out, failed, and were passed over."""

    good: int
    bad: int
    ignored: int


async def run_blocks(ctx: click.Context, system: HandleSystem, file: Path) -> Done:
    """Carry out all blocks in order, those after a failed one too."""
    good = bad = ignored = 0
    with file.open("rb") as stream:
        for operation in operations(stream, file.parent):
            if operation.ignored:
                ignored += 1
                continue
            message = await _carried_out(system, operation)
            good, bad = (good, bad + 1) if message else (good + 1, bad)
            shown = {"line": operation.number, "operation": operation.kind.value, "handle": operation.name}
            shown |= {"error": message} if message else {}
            text = f"{operation.number:>6}  {operation.kind.value} {one_line(operation.name)}: {message or 'done'}"
            emit(ctx, shown, text)
    return Done(good, bad, ignored)


async def _carried_out(system: HandleSystem, operation: Operation) -> str:
    """Carry out one block; why it failed, "" when it did not."""
    if operation.error is not None:
        return operation.error.message
    name, values = operation.name, [from_pb(value) for value in operation.values]
    try:
        match operation.kind:
            case Kind.CREATE:
                await system.create(name, values)
            case Kind.DELETE:
                await system.delete(name)
            case Kind.ADD:
                await system.add_values(name, values)
            case Kind.MODIFY:
                await system.modify_values(name, values)
            case Kind.REMOVE:
                await system.remove_values(name, operation.indexes)
            case _:
                return f"{operation.kind.value} has no place in a batch: use idis hdl home"
    except ResolverError as error:
        return error.message
    return ""
