"""``idis template``: metadata templates (元数据模板), written as TOML.

template_id = "bearing-1"
prefix = "88.300.1"
label = "1.0"
industry_codes = ["C", "34"]

[[items]]
index = 2000
type = "PRODUCT_NAME"
name = "产品名称"
required = true
kind = "text"
maximum = 64

[[items]]
index = 2001
type = "GRADE"
name = "等级"
kind = "enum"
options = ["P0", "P5", "P6"]
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resolver import methods
from resolver.cli import pages, safely
from resolver.cli.output import INVALID, Failed, Family, emit, number_of, unwritten, words_of
from resolver.cli.shown import moment
from resolver.intake import form
from resolver.intake.rows import IntakeError
from resolver.v1 import template_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from resolver.cli.target import Target

SET_BY_NODE = frozenset({"version", "create_time_us", "update_time_us", "principal_id", "deleted"})
"""Fields that a file cannot set."""


@click.group("template", cls=Family)
def template() -> None:
    """Metadata templates: create, update, delete, get, list, history, export."""


_NEW = click.Path(dir_okay=False, path_type=Path)
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE.toml")


@template.command("create")
@_FILE
@safely.options
@click.pass_context
def create(ctx: click.Context, file: Path, request_id: str, *, validate_only: bool) -> None:
    """Create a template from a TOML file."""
    target: Target = ctx.obj
    request = pb.CreateTemplateRequest(
        template=template_from_toml(file), request_id=request_id, validate_only=validate_only
    )
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.CREATE_TEMPLATE, request).template)


@template.command("update")
@_FILE
@click.option("--if-version", type=click.IntRange(min=1), metavar="N", help="Only if the template has version N.")
@safely.options
@click.pass_context
def update(ctx: click.Context, file: Path, if_version: int | None, request_id: str, *, validate_only: bool) -> None:
    """Change a template: items are added or disabled, never removed."""
    target: Target = ctx.obj
    request = pb.UpdateTemplateRequest(
        template=template_from_toml(file), if_version=if_version, request_id=request_id, validate_only=validate_only
    )
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.UPDATE_TEMPLATE, request).template)


@template.command("delete")
@click.argument("template_id", metavar="ID")
@click.option("--if-version", type=click.IntRange(min=1), metavar="N", help="Only if the template has version N.")
@safely.options
@click.pass_context
def delete(
    ctx: click.Context, template_id: str, if_version: int | None, request_id: str, *, validate_only: bool
) -> None:
    """Delete a template: no new identifier can follow it, its history stays."""
    target: Target = ctx.obj
    request = pb.DeleteTemplateRequest(
        template_id=template_id, if_version=if_version, request_id=request_id, validate_only=validate_only
    )
    with target.client() as client:
        pages.emit_row(ctx, client.call(methods.DELETE_TEMPLATE, request).template)


@template.command("get")
@click.argument("template_id", metavar="ID")
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="As it was in version N.")
@click.pass_context
def get(ctx: click.Context, template_id: str, version: int | None) -> None:
    """Show a template."""
    target: Target = ctx.obj
    with target.client() as client:
        request = pb.GetTemplateRequest(template_id=template_id, version=version or 0)
        pages.emit_row(ctx, client.call(methods.GET_TEMPLATE, request).template)


@template.command("list")
@click.option("--prefix", default="", metavar="PREFIX", help="Only those of this prefix.")
@click.option("--deleted", "include_deleted", is_flag=True, help="Deleted ones too.")
@click.pass_context
def list_(ctx: click.Context, prefix: str, *, include_deleted: bool) -> None:
    """List templates: id, prefix, label, items, state, description."""
    target: Target = ctx.obj
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_TEMPLATES, "templates", prefix=prefix, include_deleted=include_deleted),
            lambda row: (
                row.template_id,
                row.prefix or "-",
                row.label or "-",
                len(row.items),
                _state(row),
                row.description,
            ),
        )


@template.command("history")
@click.argument("template_id", metavar="ID")
@click.pass_context
def history(ctx: click.Context, template_id: str) -> None:
    """List every version of a template, newest first: version, time, author, items, state, description."""
    target: Target = ctx.obj
    with target.client() as client:
        pages.emit_rows(
            ctx,
            pages.rows(client, methods.LIST_TEMPLATE_VERSIONS, "templates", template_id=template_id),
            lambda row: (
                row.version,
                moment(row.update_time_us),
                row.principal_id,
                len(row.items),
                _state(row),
                row.description,
            ),
        )


@template.command("export")
@click.argument("template_id", metavar="ID")
@click.option(
    "--xlsx", type=_NEW, metavar="FILE", help="Write the form as an Excel workbook that checks what is typed."
)
@click.option("--csv", "csv_", type=_NEW, metavar="FILE", help="Write the form as CSV.")
@click.pass_context
def export(ctx: click.Context, template_id: str, xlsx: Path | None, csv_: Path | None) -> None:
    """Write an empty form for a template; filled in, it goes in with idis import FILE --template ID."""
    if (xlsx is None) == (csv_ is None):
        raise click.UsageError("give one of --xlsx FILE and --csv FILE")
    target: Target = ctx.obj
    with target.client() as client:
        row = client.call(methods.GET_TEMPLATE, pb.GetTemplateRequest(template_id=template_id)).template
    path = xlsx or csv_
    assert path is not None  # noqa: S101 - one of them is given
    try:
        (form.write_csv if xlsx is None else form.write_xlsx)(row, path)
    except FileExistsError as error:
        raise Failed(f"{path} exists already: name a new file", INVALID) from error
    except OSError as error:
        raise unwritten(path, error) from error
    except IntakeError as error:
        raise Failed(f"{path} was not written: {error}", INVALID) from error
    columns = [title for title, _ in form.items_of(row)]
    emit(ctx, {"file": str(path), "columns": [form.NAME_COLUMN, *columns]}, f"{path}: {len(columns) + 1} columns")


def _state(row: pb.Template) -> str:
    return "deleted" if row.deleted else "withdrawn" if row.withdrawn else "in use"


def template_from_toml(file: Path) -> pb.Template:
    """The template of a TOML file. Raises Failed, naming the nearest key for an unknown one."""
    try:
        found = tomllib.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise Failed(f"{file} is no TOML file: {error}", INVALID) from error
    if isinstance(nested := found.get("template"), dict):
        found = nested
    row = pb.Template()
    _fill(row, found, str(file))
    return row


def _fill(row: Message, found: dict[str, Any], where: str) -> None:
    known = [field.name for field in row.DESCRIPTOR.fields if field.name not in SET_BY_NODE]
    for key, content in found.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; the nearest known is {near[0]!r}" if near else f"; known are {', '.join(known)}"
            raise Failed(f"{where}: unknown key {key!r}{hint}", INVALID)
        field = row.DESCRIPTOR.fields_by_name[key]
        try:
            if field.message_type is not None:
                for position, item in enumerate(content):
                    _fill(getattr(row, key).add(), item, f"{where}: {key}[{position}]")
            elif field.enum_type is not None:
                setattr(row, key, _number(field.enum_type, content))
            elif field.is_repeated:
                getattr(row, key).extend(content)
            else:
                setattr(row, key, content)
        except (TypeError, ValueError, AttributeError) as error:
            raise Failed(f"{where}: {key} = {content!r} does not fit: {error}", INVALID) from error


def _number(enum: Any, word: str) -> Any:
    """The number of a word of an enumeration. Raises ValueError, which names the words."""
    words = words_of(enum)
    if word not in words:
        raise ValueError(f"give one of {', '.join(words)}")
    return number_of(enum, word)
