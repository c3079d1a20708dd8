"""One HTTP/1.1 client: uvicorn's protocol, held to the bounds of ``bounds.py``.

uvicorn parses (httptools) and speaks ASGI; here stands what it leaves to a proxy in front: how large headers may be,
how long a request may take to come and its answer to go, how many requests may wait in a pipeline. Deadlines are
looked at once a second for all connections together, so that a request costs no timer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from resolver.errors import InternalError, MalformedMessage, MessageTooLarge, RateExceeded
from resolver.transport.deadlines import Untaken
from resolver.transport.http import bounds
from resolver.transport.http.door import Failure
from resolver.transport.http.old_versions import without_chunks
from resolver.transport.http.written import Written

if TYPE_CHECKING:
    import asyncio
    import ssl

    from uvicorn._types import ASGI3Application
    from uvicorn.config import Config

    from resolver.transport.http.server import HttpDoor

_log = structlog.get_logger("http")

_ASCII = "".join(map(chr, range(0x80)))


def _encoded_target(data: bytes) -> bytes:
    """The start of a request with its first line percent-encoded: clients that send names as they are mean them so."""
    line, end, rest = data.partition(b"\r\n")
    return quote(line, safe=_ASCII).encode() + end + rest


def _origin_form(target: bytes) -> bytes:
    """A target without the scheme and host that a client may name (RFC 9112, 3.2.2); what is none stays as it is."""
    try:
        parts = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target
    if parts.schema is None or parts.host is None:
        return target
    path = parts.path or b"/"
    return path if parts.query is None else path + b"?" + parts.query


def _why(error: httptools.HttpParserError) -> Failure:
    """What to tell for what the parser raised; what our own code raised inside of it is a defect."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
    if cause is None or isinstance(cause, httptools.HttpParserError):
        return Failure(400, MalformedMessage("this is no HTTP/1.1 request"), {})
    _log.error("defect in a connection", exc_info=cause)
    return Failure(500, InternalError("the node has a defect: the operator finds the trace in the log"), {})


def _too_long() -> Failure:
    words = f"request line and headers have more than {bounds.HEADER_OCTETS_MAX} octets: send less, or more in a body"
    return Failure(431, MessageTooLarge(words), {})


class HttpConnection(HttpToolsProtocol):
    """A client of the door. ``Newcomer`` makes it with the client's first octets."""

    def __init__(self, config: Config, door: HttpDoor, deadline_s: float) -> None:
        """Serve a client whose first header has to be there at ``deadline_s`` unless its first octets begin one."""
        super().__init__(config, door.state, {})
        self._door = door
        self._certificate = b""
        self._header_octets = 0
        self._partial_octets = 0
        self._heard = 0
        self._is_in_header = False
        self._is_in_body = False
        self._is_answered = False
        self._body_octets = 0
        self._refusal: Failure | None = None
        self._refused: Failure | None = None
        self._answering: RequestResponseCycle | None = None
        self.url = b""
        self.headers = []
        self.deadline_s = deadline_s
        self._untaken = Untaken()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection."""
        tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True) or b""
        self._written = Written(transport, is_encrypted=tls is not None)
        super().connection_made(cast("asyncio.Transport", self._written))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: the request that is being answered hears of it, be it not the last one that came."""
        super().connection_lost(exc)
        self.pipeline.clear()
        self._withdraw(self._answering)
        # They name the connection, which names the transport: what this one holds would wait for the collector.
        self._answering = None
        self.cycle = None  # type: ignore[assignment] # as before the first request

    @staticmethod
    def _withdraw(cycle: RequestResponseCycle | None) -> None:
        """Let nothing more be said to a request, and its handler hear that nobody listens."""
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse what is no HTTP or too much of it."""
        if self.parser is None or self.transport.is_closing() or self._refused is not None:
            return
        if not (self._is_in_header or self._is_in_body or data.isascii()):
            data = _encoded_target(data)
        heard, was_in_body = self._heard, self._is_in_body
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing here upgrades (RFC 9110 section 7.8 lets a server go on): a new parser, or the old one would
            # take the rest of the connection for another protocol.
            self.parser = httptools.HttpRequestParser(self)
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or _why(error))
            return
        # A line is told of when it is whole; until then its octets are those of the pieces that are nothing but header,
        # or, behind a body, nothing but trailer.
        if heard == self._heard and (self._is_in_body if was_in_body else self._is_in_header):
            self._partial_octets += len(data)
            if self._partial_octets > bounds.HEADER_OCTETS_MAX:
                self._refuse(_too_long())
        elif len(self.pipeline) > bounds.PIPELINE_MAX:
            while len(self.pipeline) > bounds.PIPELINE_MAX:
                self.pipeline.popleft()  # the last ones that came
            words = f"more than {bounds.PIPELINE_MAX} requests are waiting: read the answers first"
            self._refuse(Failure(429, RateExceeded(words), {}))

    def on_message_begin(self) -> None:
        """A request begins: its header has its time and its octets."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._is_answered = False
        self._is_in_header = True
        self._is_in_body = False
        self._header_octets = self._partial_octets = 0
        self.deadline_s = time.monotonic() + bounds.HEADER_TIMEOUT_S

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        super().on_url(url)  # first: its start says in whose form too long a one is refused
        self._take(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line."""
        if self._is_in_body:
            return  # of a trailer: what nobody on the way has looked at must not count as a header (RFC 9110, 6.5.1)
        self._take(len(name) + len(value) + 4)
        if len(self.headers) >= bounds.HEADERS_MAX:
            words = f"the request has more than {bounds.HEADERS_MAX} header lines: send fewer"
            self._refusal = Failure(431, MessageTooLarge(words), {})
            raise ValueError(self._refusal.error.message)
        super().on_header(name, value)

    def _take(self, octets: int) -> None:
        """Count octets of the header. Raises ValueError, which the parser turns into its own error."""
        self._header_octets += octets
        if self._header_octets > bounds.HEADER_OCTETS_MAX:
            self._refusal = _too_long()
            raise ValueError(self._refusal.error.message)

    def on_headers_complete(self) -> None:
        """Start the answer; the body has its time from here."""
        self._is_in_header = False
        self._body_octets = self._partial_octets = 0
        self._heard += 1
        if not self.url.startswith(b"/"):
            self.url = _origin_form(self.url)
        if self._answers_at_once():
            self._is_answered = True
            return
        self.deadline_s = time.monotonic() + bounds.BODY_TIMEOUT_S
        target, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope, which a plain question does without
        self.url, self.headers, self.expect_100_continue = target, headers, expects
        self.scope["headers"] = headers
        if self._certificate:
            self.scope["state"]["certificate"] = self._certificate
        super().on_headers_complete()
        self._is_in_body = True

    def _answers_at_once(self) -> bool:
        """Answer a plain GET here and now; False when the request has to go the long way."""
        parser = self.parser
        if parser.get_method() != b"GET" or not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            return False
        if (self.cycle is not None and not self.cycle.response_complete) or self.pipeline or self.flow.write_paused:
            return False
        source = self.client[0] if self.client else ""
        for answer in self._door.at_once:
            octets = answer(self.url, self.headers, source, self._door.date)
            if octets is not None:
                self.transport.write(octets)
                return True
        return False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; enough of them win more time."""
        if self._is_answered:
            return  # plain questions have none: their headers have been looked at
        self._heard += 1
        self._partial_octets = 0
        self._body_octets += len(body)
        if self._body_octets >= bounds.BODY_PROGRESS_OCTETS:
            self._body_octets = 0
            self.deadline_s = time.monotonic() + bounds.BODY_TIMEOUT_S
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: now we owe the time."""
        self._is_in_body = False
        if self._is_answered:
            self.deadline_s = time.monotonic() + self._door.idle_s
        else:
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Let a request be answered, or be the next one once the client has taken the answers before."""
        if self.flow.write_paused:  # its answer would wait beside the one that is not taken
            self.flow.pause_reading()
            self.pipeline.append((cycle, app))
            return
        self._answering = cycle
        super()._start_asgi_task(cycle, app if cycle.scope["http_version"] == "1.1" else without_chunks(app, cycle))

    def on_response_complete(self) -> None:
        """Go on with the next request of the pipeline, or wait for one."""
        self.server_state.total_requests += 1
        now_s = time.monotonic()
        if self.transport.is_closing():
            self.deadline_s = max(self.deadline_s, now_s + bounds.WRITE_TIMEOUT_S)  # to take the end of the answer
            return
        if self.flow.read_paused:
            self.deadline_s = max(self.deadline_s, now_s + bounds.BODY_TIMEOUT_S)  # of what could not come meanwhile
        self.flow.resume_reading()
        if self.pipeline:
            self._answer_next()
        elif self._refused is not None:
            self._tell(self._refused)
        elif not self._is_in_header:
            self.deadline_s = now_s + self._door.idle_s
            if self._is_in_body:
                self.transport.close()  # answered before the body was read: the rest of it is no request

    @property
    def _is_free(self) -> bool:
        """Whether no request is being answered."""
        return self._answering is None or self._answering.response_complete

    def _answer_next(self) -> None:
        """Answer the next request of the pipeline."""
        cycle, app = self.pipeline.pop()
        self._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """The peer does not take its answer."""
        super().pause_writing()
        self._door.unsent.note(self.held_octets)
        self._untaken.begin(self.transport, time.monotonic() + bounds.WRITE_TIMEOUT_S)

    def resume_writing(self) -> None:
        """The peer takes its answer again, and has time for the rest of it."""
        super().resume_writing()
        self._untaken.end()
        self._written.long_octets = 0
        self.deadline_s = max(self.deadline_s, time.monotonic() + bounds.WRITE_TIMEOUT_S)
        if self._is_free and self.pipeline and not self.transport.is_closing():
            self._answer_next()

    @property
    def owes(self) -> bool:
        """Whether the client has still to take something of its answers."""
        return bool(self.unsent_octets or self.pipeline)

    @property
    def unsent_octets(self) -> int:
        """Octets of answers that the client has not taken."""
        return self.transport.get_write_buffer_size()

    @property
    def held_octets(self) -> int:
        """Octets of these answers in memory."""
        return max(self._written.long_octets, self.unsent_octets)

    def cut_off(self) -> None:
        """End the connection now."""
        self.transport.abort()

    def check(self, now_s: float) -> None:
        """Close the connection when its time is over; an answer under way has as long as it needs."""
        if self._untaken.is_waiting:
            if self._untaken.is_over(self.transport, now_s, bounds.WRITE_TIMEOUT_S):
                self.transport.abort()
        elif self.deadline_s <= now_s:
            self._end(now_s)

    def _end(self, now_s: float) -> None:
        """Close the connection, whose time is over, unless it is us who are late."""
        if self.transport.is_closing():
            self.transport.abort()  # what is left to send is not taken
            return
        is_ours = self.cycle is not None and not self.cycle.response_complete and not self._is_in_header
        if is_ours and not self._is_in_body:
            return
        if (is_ours or self._is_in_header) and self.flow.read_paused:
            self.deadline_s = now_s + bounds.BODY_TIMEOUT_S  # its client can send nothing until we read on
        elif self._is_in_header or (is_ours and not self.cycle.response_started):
            self._refuse(Failure(408, MalformedMessage("the request took too long to come"), {}))
        else:
            self.transport.abort()

    def _refuse(self, failure: Failure) -> None:
        """Refuse what is no request, once what came before it is answered, and close: nobody knows where it ends."""
        cycle = self.cycle
        if self._is_in_body and not cycle.response_complete:
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            elif cycle is self._answering:
                self._withdraw(cycle)
                if cycle.response_started:
                    self.transport.close()  # another answer would be taken for the rest of this one
                    return
                cycle.scope["state"]["refused"] = True
                self._answering = None
        self._is_in_header = self._is_in_body = False
        if self._is_free and not self.pipeline:
            self._tell(failure)
        else:
            self._refused = failure

    def _tell(self, failure: Failure) -> None:
        """Say why there is no answer, in the form of the API that was begun to be asked, and close."""
        response = self._door.refusal(self._begun(), failure)
        lines = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        body = b"" if self._method() == "HEAD" else bytes(response.body)
        self.deadline_s = time.monotonic() + bounds.WRITE_TIMEOUT_S
        self.transport.write(STATUS_LINE[response.status_code] + head + b"\r\n" + body)
        self.transport.close()

    def _begun(self) -> dict[str, Any]:
        """The scope of a request as far as it has come; it has no path when what came is no request at all."""
        try:
            target = httptools.parse_url(self.url[: bounds.HEADER_OCTETS_MAX])  # it takes 64 KiB
        except httptools.HttpParserInvalidURLError:
            path, query = b"", b""
        else:
            path, query = target.path or b"", target.query or b""
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self._method(),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
        }

    def _method(self) -> str:
        """The method; without a target none has come whole."""
        return str(self.parser.get_method(), "ascii") if self.url else "GET"
