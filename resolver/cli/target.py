"""Which node a command talks to, and as whom.

``--target`` and ``--token-file`` decide. Without ``--target`` the data directory is asked: a node that runs
there tells its gRPC door in ``endpoints.json``, and the administrator's token of its first start lies beside,
so that after ``idis serve`` a plain ``idis resolve NAME`` works on the same machine. Which node was found is
said on standard error. No connection is opened before a command needs one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from resolver.cli.output import DENIED, INVALID, UNREACHABLE, Failed, note

if TYPE_CHECKING:
    from collections.abc import Callable

    from resolver.client import AsyncClient, Client, Options
    from resolver.federation.node_channel import NodeCredentials

DATA_DIRS = (Path("data"), Path("idis-data"))
"""Data directories looked into when none is named: that of ``make run``, and the default of ``idis serve``."""

WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read from a file, to be replaced
"""Addresses a door listens on and nobody can dial, and what to dial on the same machine."""


@dataclass
class Target:
    """The options of the root command that say where to go; see ``idis --help``."""

    address: str | None = None
    token_file: Path | None = None
    data_dir: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_name: str = ""
    timeout_s: float = 10.0
    say: Callable[[str], None] = note
    described: str = field(default="the node", init=False)
    """The node in words, once it was chosen."""

    def client(self) -> Client:
        """A blocking client. Raises Failed."""
        from resolver.client import Client  # noqa: PLC0415 - loads gRPC

        address, options = self._chosen()
        try:
            return Client(address, **options)
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error

    def clients(self, *, of_site: bool) -> list[Client]:
        """A client of the node, or with ``of_site`` one of each server that shares its handles. Raises Failed."""
        from resolver import methods  # noqa: PLC0415 - loads protobuf
        from resolver.v1 import site_pb2  # noqa: PLC0415 - as above

        client = self.client()
        servers = client.call(methods.GET_SITE, site_pb2.GetSiteRequest()).layout.servers if of_site else ()
        if not servers:
            return [client]
        client.close()
        token = self.token_file if self.token_file is not None else self.found_token()
        return [replace(self, address=server.grpc, token_file=token).client() for server in servers]

    def async_client(self) -> AsyncClient:
        """An asyncio client. Raises Failed."""
        from resolver.client import AsyncClient  # noqa: PLC0415 - loads gRPC

        address, options = self._chosen()
        try:
            return AsyncClient(address, **options)
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error

    def credentials(self, token: str, ca: Path | None) -> NodeCredentials:
        """What a node that is made shows the one it copies: ``ca`` or --tls-ca, and the client certificate."""
        from resolver.federation.node_channel import NodeCredentials  # noqa: PLC0415 - loads gRPC

        if (self.tls_cert is None) != (self.tls_key is None):
            raise Failed("--tls-cert and --tls-key belong together: give both", INVALID)
        authorities = ca or self.tls_ca
        return NodeCredentials(token, authorities.read_bytes() if authorities else None, self.tls_cert, self.tls_key)

    def found_token(self) -> Path | None:
        """The token of the administrator of the node that runs here, if one does and no node was named."""
        return self._from_data_dir()[1] if self.address is None else None

    def store_dir(self, data_dir: Path | None) -> Path:
        """The data directory an offline command works on: its own option, that of the root, or the one found."""
        chosen = data_dir or self.data_dir
        if chosen is None:
            chosen = next((root for root in DATA_DIRS if (root / "store").is_dir()), DATA_DIRS[0])
            self.say(f"data directory: {chosen}")
        if not (chosen / "store" / "data.mdb").exists():
            raise Failed(f"{chosen} holds no store: name the data directory of a node with --data-dir", INVALID)
        return chosen

    def _chosen(self) -> tuple[str, Options]:
        address, token_file = self.address, self.token_file
        if address is None:
            address, found = self._from_data_dir()
            token_file = token_file or found
        host, colon, port = address.rpartition(":")
        if not colon or not host or not port.isdecimal() or (":" in host and not host.endswith("]")):
            raise Failed(
                f"'{address}' does not name a host and a port: give --target (or IDIS_TARGET) as HOST:PORT, such as "
                "127.0.0.1:2640 or [::1]:2640",
                INVALID,
            )
        self.described = f"the node at {address}"
        options: Options = {"token_file": token_file, "timeout_s": self.timeout_s}
        if self.tls_ca or self.tls_cert:
            from resolver.client import Tls  # noqa: PLC0415 - loads gRPC

            try:
                options["tls"] = Tls(self.tls_ca, self.tls_cert, self.tls_key, self.tls_name)
            except ValueError as error:
                raise Failed("--tls-cert and --tls-key belong together: give both", INVALID) from error
        return address, options

    def _from_data_dir(self) -> tuple[str, Path | None]:
        """Address and token file of the node that runs on a data directory here."""
        roots = (self.data_dir,) if self.data_dir else DATA_DIRS
        root = next((root for root in roots if (root / "endpoints.json").exists()), None)
        if root is None:
            looked = " or ".join(str(each / "endpoints.json") for each in roots)
            raise Failed(
                f"no node was named and there is no {looked}: give --target HOST:PORT (or IDIS_TARGET), or start a "
                "node with idis serve",
                UNREACHABLE,
            )
        try:
            endpoints = json.loads((root / "endpoints.json").read_text("utf-8"))
            host, _, port = str(endpoints["grpc"]).rpartition(":")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failed(f"{root / 'endpoints.json'} tells no gRPC door ({error!r}): give --target", INVALID) from error
        address = f"{WILDCARDS.get(host, host)}:{port}"
        token = root / "credentials" / "admin.token"
        with_token = self.token_file is None and token.exists()
        self.say(f"node: {address} from {root}" + (f", token {token}" if with_token else ""))
        return address, token if with_token else None

    def _unusable(self, error: Exception) -> Failed:
        if isinstance(error, OSError):
            of_token = self.token_file is not None and str(error.filename) == str(self.token_file)
            return Failed(
                f"{error.filename} cannot be read ({error.strerror}): check --token-file and the --tls options",
                DENIED if of_token else INVALID,
            )
        return Failed(str(error), DENIED)
