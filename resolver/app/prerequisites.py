"""What a worker cannot start without, looked at before a configuration is taken over.

A running worker goes on with what it has; the next one would end at once, again and again, until nobody answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resolver.app import backends
from resolver.app.certificates import require_certificate
from resolver.app.data_dir import DataDir

if TYPE_CHECKING:
    from resolver.config.settings import Config


def require_usable(config: Config) -> None:
    """Raise StartRefused when the next worker could not start with the configuration."""
    backends.choose(config.grpc.backend)
    require_certificate(config.tls)
    data = DataDir(Path(config.node.data_dir))
    if config.federation.top_file:
        from resolver.app.federation import top_sites  # noqa: PLC0415 - loads the search; needed with the setting only

        top_sites(config, data)
    if config.mirror.token_file or config.mirror.ca_file:
        from resolver.app.mirror_service import credentials_of  # noqa: PLC0415 - as above

        credentials_of(config, data)
