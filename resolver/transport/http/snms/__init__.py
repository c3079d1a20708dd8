"""The national SNMS OpenAPI, v3 and v5, on the HTTP port: applications switch to this node by changing a URL.

    envelope.py      ``{message, status, data}`` and the Chinese sentences
    bodies.py        what requests are made of
    desk.py          who calls; Idempotency-Key; from handlers to routes
    tokens.py        /identity/token, clear and digest
    identifiers.py   /identityv2/data, one and many
    templates.py     /snms/api/v3|v5/template
    prefixes.py      /snms/api/prefix/query and page, /snms/api/ent/config
    enterprises.py   /snms/api/v3/ent/apply, upgrade-apply, page, detail, /snms/api/file/upload
    pages.py         pages in the form of Spring, dates
    multipart.py     the file of an upload

Handlers translate and nothing else: rules of templates, ownership, durability and retries are the service's, the same
as at every door. README.md tells operators how an application switches, and where the documents leave things open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.transport.http.door import Door
from resolver.transport.http.snms.desk import BODY_OCTETS_MAX, Desk, Entry
from resolver.transport.http.snms.enterprises import Enterprises
from resolver.transport.http.snms.envelope import failed
from resolver.transport.http.snms.identifiers import Identifiers
from resolver.transport.http.snms.prefixes import Prefixes
from resolver.transport.http.snms.templates import Templates
from resolver.transport.http.snms.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute

    from resolver.service import Service
    from resolver.transport.http.calls import HttpOptions


def routes(service: Service, options: HttpOptions) -> Sequence[BaseRoute]:
    """Every path of the interface; none when the operator has turned it off."""
    if not options.snms.enabled:
        return ()
    desk = Desk(service, options)
    parts = (Tokens(desk), Identifiers(desk), Templates(desk), Prefixes(desk), Enterprises(desk))
    by_path: dict[str, list[Entry]] = {}
    for part in parts:
        for entry in part.entries():
            by_path.setdefault(entry.path, []).append(entry)
    return [desk.route(entries) for entries in by_path.values()]


DOOR = Door("snms", ("/identity/", "/identityv2/", "/snms/"), routes, failed, BODY_OCTETS_MAX)
"""The national OpenAPI."""
