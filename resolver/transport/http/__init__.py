"""The HTTP server of a worker and the doors that share it.

    server.py       the listening socket, drain, the clock of connections
    connection.py   one client: uvicorn's HTTP/1.1 protocol with bounds on headers, bodies, time and pipelines
    door.py         what an API is: ``Door`` and ``Failure``
    application.py  finds the door of a path, bounds its body, turns what it raises into its kind of answer, counts
    calls.py        who calls: ``caller(request)``; whether credentials may be believed; the octets of a path
    bounds.py       every number

**How a door is added.** Write a module here that has::

    DOOR = Door("snms", ("/snms/", "/identityv2/"), routes, failed)

    def routes(service: Service, options: HttpOptions) -> Sequence[BaseRoute]: ...
    def failed(request: Request, failure: Failure) -> Response: ...

and name it in ``DOORS`` of ``application.py``. ``routes`` is called once per worker. A handler parses, finds the caller
with ``caller(request, service)``, awaits a method of the service and returns a starlette response. It raises
``ResolverError`` for whatever goes wrong; ``failed`` gives that error the body of the door's API, and is also asked for
unknown paths below the door's own (status 404), methods a path has not (405), bodies that are too large (413) and
defects of ours (500, trace in the log only). ``failure.status`` is the HTTP status of the table in ``errors.py``;
an API with another convention (SNMS answers 200) returns another one. A path belongs to the door with
the longest prefix; the proxy has all that is left. ``Door.octets_max`` bounds a body, which is read with
``await request.body()``, or ``request.stream()`` where a body is long.

A handler says what is asked for by ``request.scope["operation"] = Operation(SERVICE, NAME, KIND)`` of
``telemetry.calls``: so it is counted, and a KIND of resolution or registration gets its times into the statistics.
What is counted as its result is the HTTP status, or ``request.scope["result"]`` where failures have that of a success.
Jobs of the write lane get ``door`` from the call.
"""
