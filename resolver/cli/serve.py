"""``idis serve``: read the configuration and run the node in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resolver.config.settings import Node
from resolver.config.sources import ConfigInvalid, load

if TYPE_CHECKING:
    from resolver.config.settings import Config

EXIT_REFUSED = 1
"""The node could not start, or workers had to be killed at the stop."""

EXIT_STORE = 7
"""The store cannot be opened, or was found damaged while the node ran."""

EXIT_CONFIG = 78
"""The configuration is invalid (EX_CONFIG of sysexits.h): a service manager need not try again."""


@click.command("serve")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Directory of the store; made when missing.")
@click.option("--prefix", help="Secondary prefix of the node, needed at the first start only; 88.300 when not given.")
@click.option("--workers", type=click.IntRange(0, 128), help="Worker processes; 0, the default, is one for each core.")
@click.option("--grpc", metavar="HOST:PORT", help="gRPC door [127.0.0.1:2640]; port 0 chooses one.")
@click.option("--hdl", metavar="HOST:PORT", help="Handle doors, TCP and UDP [127.0.0.1:2641]; empty turns them off.")
@click.option("--http", metavar="HOST:PORT", help="HTTP door [127.0.0.1:2642]; empty turns it off.")
@click.option("--admin", metavar="HOST:PORT", help="Admin door [127.0.0.1:2643]; empty turns it off.")
@click.option("--grpc-backend", type=click.Choice(["auto", "h2", "grpcio"]), help="Implementation of the gRPC door.")
@click.option(
    "--config",
    "config_file",
    envvar="IDIS_CONFIG",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file, otherwise DATA_DIR/idis.toml if there is one; idis config show prints one.",
)
@click.option("--json", "as_json", is_flag=True, help="Log an object a line, and print no banner.")
@click.option(
    "--banner/--no-banner", default=None, help="Print the commands to try next; the default on a terminal only."
)
def serve(
    data_dir: Path | None,
    prefix: str | None,
    workers: int | None,
    grpc: str | None,
    hdl: str | None,
    http: str | None,
    admin: str | None,
    grpc_backend: str | None,
    config_file: Path | None,
    banner: bool | None,  # noqa: FBT001 - click passes options by name
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Run the node.

    Every setting may also stand in a configuration file or the environment (idis config show). When every
    door answers, DATA_DIR/endpoints.json tells where. SIGTERM drains and stops, a second one stops now; SIGHUP
    reads configuration and certificates again; SIGUSR2 replaces the workers one by one.
    """
    flags: dict[str, object] = {
        "node.data_dir": str(data_dir) if data_dir else None,
        "node.prefix": prefix,
        "workers.count": workers,
        "grpc.listen": grpc,
        "grpc.backend": grpc_backend,
        "hdl.listen": hdl,
        "http.listen": http,
        "admin.listen": admin,
        "log.format": "json" if as_json else None,
    }

    beside = Path(data_dir or os.environ.get("IDIS_NODE__DATA_DIR") or Node().data_dir) / "idis.toml"

    def read() -> Config:
        """Also of a file that was made since the start; one that was read once must stay."""
        nonlocal config_file
        found = beside if config_file is None and beside.is_file() else config_file
        config = load(found, os.environ, flags)
        config_file = found
        return config

    try:
        config = read()
    except ConfigInvalid as error:
        for fault in error.faults:
            click.echo(f"error: {fault}", err=True)
        sys.exit(EXIT_CONFIG)

    from resolver.app.data_dir import StartRefused, StoreRefused  # noqa: PLC0415 - the node loads when it runs
    from resolver.app.supervisor import supervise  # noqa: PLC0415 - as above
    from resolver.telemetry.logs import configure_logging  # noqa: PLC0415 - as above

    configure_logging(config.log.level, config.log.format)
    wanted = sys.stdout.isatty() and not as_json if banner is None else banner
    try:
        code = asyncio.run(supervise(config, read, say=click.echo if wanted else None))
    except StartRefused as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_STORE if isinstance(error, StoreRefused) else EXIT_REFUSED)
    sys.exit(code)
