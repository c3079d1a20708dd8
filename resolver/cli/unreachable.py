"""Why a node could not be reached, in the words of whoever typed the address.

gRPC tells it in the words of its own layers ("failed to connect to all addresses; last error: UNKNOWN: ipv4:..."). The
table holds the reasons that a person causes, by what gRPC writes for them; anything else is told as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resolver.cli.output import BY_CODE, DENIED, FAILED, UNREACHABLE, Failed, one_line

if TYPE_CHECKING:
    from grpc.aio import AioRpcError

REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Connection refused",), "nothing listens there: check that it runs, and the address"),
    (
        ("Domain name not found", "hostname lookup", "Name or service not known"),
        "there is no such host: check the address",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed"),
        "its certificate is not of this authority: check --tls-ca",
    ),
    (("Hostname Verification Check failed", "hostname mismatch"), "its certificate has another name: give --tls-name"),
    (("create security handshaker",), "no certificate can be read from --tls-ca: give the authority as PEM"),
    (("WRONG_VERSION_NUMBER", "wrong version number"), "it does not speak TLS: leave the --tls options out"),
    (
        ("Failed parsing HTTP/2", "http1.x server", "SETTINGS frame"),
        "what listens there is no gRPC door: give the port that idis serve tells as grpc, 2640 unless it was set",
    ),
    (
        ("No route to host", "Network is unreachable", "host unreachable"),
        "there is no way to that host: check the address",
    ),
    (
        ("Deadline Exceeded", "Connection timed out", "timed out"),
        "no answer in time: check that it runs, or give --timeout",
    ),
    (
        ("Socket closed", "Connection reset", "GOAWAY"),
        (
            "it ended the connection: if it wants TLS give --tls-ca, if it wants to know its clients --tls-cert and "
            "--tls-key of an authority it knows, else try again"
        ),
    ),
)
"""What gRPC writes, any of them, and what to say instead; the first that fits."""


def unreachable(where: str, message: str) -> str:
    """The sentence for a node that does not answer; ``message`` is what the transport said."""
    for signs, reason in REASONS:
        if any(sign in message for sign in signs):
            return f"{where} does not answer: {reason}"
    return f"{where} does not answer ({one_line(message)[:200]}): check that it runs, and --target and --tls-ca"


def of_other_node(where: str, error: AioRpcError) -> Failed:
    """What to raise when a node that is copied from fails: what it said itself, else why it is not reached."""
    from resolver.federation.grpc_peer import reason_of  # noqa: PLC0415 - loads gRPC

    details = one_line(error.details() or error.code().name)
    code = BY_CODE.get(error.code().value[0], FAILED)
    if reason_of(error)[0] or code == DENIED:
        return Failed(f"{where}: {details}", code)
    return Failed(unreachable(where, details), UNREACHABLE)
