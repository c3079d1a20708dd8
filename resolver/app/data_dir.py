"""The data directory of a node: where everything lies, who may read it, and who owns it now.

    DATA_DIR/                 0700
    ├── store/                the store
    ├── files/                what applications uploaded, by digest
    ├── credentials/          admin.token (0600), of the first start or of idis key renew-admin
    ├── run/                  lock (held by the supervisor), metrics/ of the workers
    ├── rescued-…/            what a data file held that was removed under the running node
    └── endpoints.json        where the doors answer; there while they do

Files others wait for appear whole or not at all: written beside, synced, renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from storage.directories import make_directory, sync_directory
from storage.failures import FILE_NAME as FAILURES_FILE
from storage.files import FILES_DIRECTORY
from storage.unfinished import becoming

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StartRefused(Exception):
    """The node cannot start; the message says what is wrong and what to do."""


class StoreRefused(StartRefused):
    """The node cannot start, or cannot go on, because of its store."""


class DataDir:
    """The paths and the files of one data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.store = self.root / "store"
        self.files = self.root / FILES_DIRECTORY
        self.failures = self.root / FAILURES_FILE
        self.credentials = self.root / "credentials"
        self.admin_token = self.credentials / "admin.token"
        self.site_token = self.credentials / "site.token"
        self.mirror_token = self.credentials / "mirror.token"
        self.run = self.root / "run"
        self.metrics = self.run / "metrics"
        self.lock_file = self.run / "lock"
        self.endpoints = self.root / "endpoints.json"

    def create(self) -> None:
        """Make what is missing, readable by the owner only. Raises StartRefused."""
        try:
            for directory in (self.root, self.store, self.credentials, self.run, self.metrics):
                make_directory(directory)
        except OSError as error:
            raise StartRefused(
                f"the data directory cannot be made: {error.filename}: {error.strerror}. "
                "Name another one with --data-dir, or give this user the right to write there"
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the directory for the length of the block. Raises StartRefused when another supervisor does."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
                raise StartRefused(
                    f"another node (process {owner}) runs on {self.root}: stop it first, or use another --data-dir"
                ) from error
            with suppress(OSError):  # a full disk: the lock holds without a name on it
                os.pwrite(descriptor, b"%-19d\n" % os.getpid(), 0)
            yield
        finally:
            os.close(descriptor)

    def write_admin_token(self, token: str) -> None:
        """Keep the administrator's token for the first use, before the store knows it."""
        write_whole(self.admin_token, token.encode("ascii") + b"\n")

    def write_endpoints(self, endpoints: dict[str, str]) -> None:
        """Tell where the doors answer."""
        write_whole(self.endpoints, json.dumps(endpoints, indent=2).encode() + b"\n")

    def remove_endpoints(self) -> None:
        """Nothing answers any more, or not yet."""
        self.endpoints.unlink(missing_ok=True)


def write_whole(path: Path, octets: bytes) -> None:
    """Put a file in place with mode 0600 so that a reader sees all of it or the one before."""
    with becoming(path) as file:
        file.write(octets)
    sync_directory(path.parent)
