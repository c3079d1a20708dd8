"""``idis key renew-admin``: a new token for the administrator of a stopped node whose token is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver.cli.guarded import StoreVerb
from resolver.cli.output import CONFLICT, STORE, Failed, emit, one_line, to_json

if TYPE_CHECKING:
    from resolver.cli.target import Target


@click.command("renew-admin", cls=StoreVerb)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Data directory of the node, which must not be running.",
)
@click.option(
    "--promote", is_flag=True, help="Make a mirror whose primary is gone for good the primary of its site first."
)
@click.pass_context
def renew_admin(ctx: click.Context, data_dir: Path | None, *, promote: bool) -> None:
    """Replace a lost admin.token of a stopped node.

    A new token of the principal of the first start is written to DIR/credentials/admin.token, and all that it has had
    are revoked; other principals, certificates, Handle keys and passwords stay. No credential is asked for: whoever
    may write the data directory owns the node already. Run it as the user that the node runs as. After an interruption
    give it again.
    """
    from resolver.app.admin_token import renew_admin_token  # noqa: PLC0415 - loads the node
    from resolver.app.data_dir import DataDir, StartRefused, StoreRefused  # noqa: PLC0415 - as above
    from resolver.registry.first_start import ADMINISTRATOR_ID  # noqa: PLC0415 - as above

    target: Target = ctx.obj
    root = target.store_dir(data_dir)
    data = DataDir(root)
    try:
        (key_id, revoked, enabled), epoch, lost = renew_admin_token(data, promote=promote)
    except StartRefused as error:
        raise Failed(one_line(str(error)), STORE if isinstance(error, StoreRefused) else CONFLICT) from error
    document = {
        "principal_id": ADMINISTRATOR_ID,
        "token_file": str(data.admin_token),
        "key_id": key_id,
        "revoked": list(revoked),
        "enabled": enabled,
        "epoch": None if epoch is None else to_json(epoch),
        "lost": lost,
    }
    lines = [f"{data.admin_token} holds the new token of principal {ADMINISTRATOR_ID}; {len(revoked)} revoked"]
    if enabled:
        lines.append("the principal was disabled, and is enabled again")
    if epoch is not None:
        lines.append(f"primary of epoch {epoch.number}: every change up to {epoch.start.serial} is kept")
    if lost:
        lines.append(f"lost: {lost} acknowledged changes above it, which the old primary had when it was last heard")
    lines.append(f"next: idis serve --data-dir {root}")
    if epoch is not None:
        lines.append("then: idis mirror init --of this node, for every other mirror of the site")
    emit(ctx, document, "\n".join(lines))
