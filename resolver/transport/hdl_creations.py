"""Creations of all Handle connections of a worker: those of one turn of the loop go to the write lane together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resolver.service.core import Core
    from resolver.service.hdl_plain_creations import Creation


class Creations:
    """What this turn of the loop has brought."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._brought: list[Creation] = []

    def __len__(self) -> int:
        return len(self._brought)

    def hand_over(self, creation: Creation) -> None:
        """Give a creation to the write lane at the end of the turn."""
        self._brought.append(creation)
        if len(self._brought) == 1:
            asyncio.get_running_loop().call_soon(self._hand_over_all)

    def _hand_over_all(self) -> None:
        brought, self._brought = self._brought, []
        self._core.lane.hand_over(brought)
