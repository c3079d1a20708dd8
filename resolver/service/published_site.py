"""The site as this server tells it: its own record, or that of all servers once the site has a layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from resolver.node import site_record

if TYPE_CHECKING:
    from resolver.node.shares import Share
    from resolver.wire.predefined.hs_site import HsSite


class PublishedSite:
    """What get-site-info answers, the serial in every answer, and whether it is that of a primary.

    ``follow`` the share and ``take_role`` when they change.
    """

    def __init__(self, site: HsSite, own: HsSite) -> None:
        """Take the site that the node's prefix handle names, and the record of this server alone."""
        self.own_site = replace(own, serial=1).to_wire()
        # What a mirror has copied names its primary, whose key does not sign this server's answers.
        is_this = own.servers[0].public_key in [server.public_key for server in site.servers]
        self._alone = site if is_this else own
        self._layout: HsSite | None = None
        self.is_primary = True
        self._choose()

    def follow(self, share: Share | None) -> None:
        """Tell the layout of a share from now on; without one the site stays as it was at the start."""
        self._layout = site_record.hs_site(share.layout) if share is not None and share.layout.servers else None
        self._choose()

    def take_role(self, *, is_primary: bool) -> None:
        """Say of this server from now on that it takes changes, or that it is a mirror."""
        if is_primary != self.is_primary:
            self.is_primary = is_primary
            self._choose()

    def _choose(self) -> None:
        roles = self._alone.roles if self.is_primary else 0
        self.site = self._layout or replace(self._alone, roles=roles)
        self.serial = self.site.serial
