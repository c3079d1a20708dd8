"""The site as this server tells it: its own record, or that of all servers once the site has a layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from resolver.node import site_record

if TYPE_CHECKING:
    from resolver.node.shares import Share
    from resolver.wire.predefined.hs_site import HsSite


class PublishedSite:
    """What get-site-info answers, and the serial in every answer. ``follow`` the share when it changes."""

    def __init__(self, site: HsSite, own: HsSite) -> None:
        """Take the site that the node's prefix handle names, and the record of this server alone."""
        self._alone = site
        self.own_site = replace(own, serial=1).to_wire()
        self.site = site
        self.serial = site.serial

    def follow(self, share: Share | None) -> None:
        """Tell the layout of a share from now on; without one the site stays as it was at the start."""
        self.site = site_record.hs_site(share.layout) if share is not None and share.layout.servers else self._alone
        self.serial = self.site.serial
