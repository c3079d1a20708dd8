"""``/identity/token`` and ``/identity/token/v1``: a token for a user name and password, clear or digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver import methods
from resolver.errors import CredentialInvalid
from resolver.registry.logins import USER_NAME_CHARACTERS_MAX
from resolver.registry.passwords import CHARACTERS_MAX
from resolver.transport.http.calls import require_confidential, source_of
from resolver.transport.http.snms import bodies
from resolver.transport.http.snms.desk import Desk, Entry
from resolver.transport.http.snms.envelope import BUSINESS_FAILURE, WRONG_PASSWORD, reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from resolver.service import Call

BODY_OCTETS_MAX = 64 << 10
"""Octets of a token request, which anybody may send."""

_LOCKED = "密码错误次数过多，请稍后再试"


class Tokens:
    """Handlers of the token requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def entries(self) -> list[Entry]:
        """The paths of the token requests."""
        return [
            Entry("POST", "/identity/token", self.clear, methods.LOG_IN, is_public=True),
            Entry("POST", "/identity/token/v1", self.digest, methods.LOG_IN, is_public=True),
        ]

    async def clear(self, request: Request, _: Call) -> Response:
        """A token for a clear password."""
        return await self._log_in(request, digest=False)

    async def digest(self, request: Request, _: Call) -> Response:
        """A token for hex sha256(hex sha256(password) + yyyy-MM-dd)."""
        return await self._log_in(request, digest=True)

    async def _log_in(self, request: Request, *, digest: bool) -> Response:
        desk = self._desk
        require_confidential(request, desk.options)
        login = bodies.decode(await desk.json(request, BODY_OCTETS_MAX), bodies.Login)
        user_name = bodies.text(login.username, "username", USER_NAME_CHARACTERS_MAX)
        password = bodies.text(login.password, "password", CHARACTERS_MAX)
        try:
            opened = await desk.service.logins.log_in(
                user_name,
                password,
                source_of(request, desk.options),
                digest=digest,
                utc_offset_s=desk.snms.utc_offset_s,
            )
        except CredentialInvalid as error:
            words = _LOCKED if error.details.get("rule") == "LOCKED" else WRONG_PASSWORD
            response = reply(None, words, BUSINESS_FAILURE, 401 if desk.snms.mapped_http_status else 200)
            if response.status_code == 200:
                request.scope["result"] = str(BUSINESS_FAILURE)
            if error.retry_after_s is not None:
                response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
            return response
        return reply({"token": opened.token})
