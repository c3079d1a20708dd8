"""``idis key generate|import|export|convert``: key files between PEM and the form of CNRI's tools.

A private key is read in either form whatever the file is called. Encrypted CNRI files of all five schemes are read;
what is written is plain, AES or, when somebody's old tool asks for it by name, one of the others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resolver.cli.output import INVALID, Failed, Verb, emit, note
from storage.directories import sync_directory

if TYPE_CHECKING:
    from resolver.wire.private_keys import PrivateKey

SCHEMES = {"plain": 1, "aes": 4, "3des": 3, "des-cbc": 2, "des-ecb": 0}
"""Encryption of CNRI key files by name; the last three are for old tools only."""

_BLOCK_OCTETS = {"aes": 16, "3des": 8, "des-cbc": 8}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)
_OCTETS_MAX = 1 << 16


def private_key_in(path: Path, passphrase_file: Path | None = None) -> PrivateKey:
    """The private key in a PEM or CNRI file. Raises Failed."""
    from resolver.errors import WireError  # noqa: PLC0415 - loads cryptography
    from resolver.wire import key_files  # noqa: PLC0415 - as above
    from resolver.wire.certificates import UNREADABLE  # noqa: PLC0415 - as above
    from resolver.wire.private_keys import private_key_from_der  # noqa: PLC0415 - as above

    octets = path.read_bytes()[: _OCTETS_MAX + 1]
    passphrase = None if passphrase_file is None else passphrase_file.read_bytes().rstrip(b"\r\n")
    try:
        if octets.lstrip().startswith(b"-----BEGIN"):
            return private_key_from_der(_der_of(octets, passphrase))
        return key_files.read_key_file(octets, passphrase)
    except (WireError, *UNREADABLE) as error:
        raise Failed(f"{path} holds no private key that can be read: {error}", INVALID) from error


def _der_of(pem: bytes, passphrase: bytes | None) -> bytes:
    """PKCS #8 octets of a PEM file of any usual kind. Raises what is UNREADABLE."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - loads cryptography

    native = serialization.load_pem_private_key(pem, passphrase)
    return native.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem_of(key: PrivateKey, passphrase: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - loads cryptography

    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.to_native().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


def _cnri_of(key: PrivateKey, scheme: str, passphrase: bytes) -> bytes:
    from resolver.wire import key_files  # noqa: PLC0415 - loads cryptography

    return key_files.write_key_file(
        key.to_wire(),
        key_files.KeyFileScheme(SCHEMES[scheme]),
        passphrase,
        salt=os.urandom(16),
        iv=os.urandom(_BLOCK_OCTETS.get(scheme, 0)),
    )


def _write(path: Path, octets: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise Failed(f"{path} exists already: name a new file", INVALID) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(octets)
        stream.flush()
        os.fsync(stream.fileno())
    sync_directory(path.parent)


def _public_path(out: Path, form: str) -> Path:
    """Where the public half of a private key goes: beside it."""
    return out.with_name(
        out.name.removesuffix(".pem").removesuffix(".bin") + f".pub.{'pem' if form == 'pem' else 'bin'}"
    )


def _passphrase(path: Path | None) -> bytes:
    """The new passphrase in a file, b"" without one. Raises Failed for an empty one, which would encrypt nothing."""
    if path is None:
        return b""
    passphrase = path.read_bytes().rstrip(b"\r\n")
    if not passphrase:
        raise Failed(
            f"{path} holds no passphrase: write one into it, or leave the key plain without the option", INVALID
        )
    return passphrase


@click.command("generate", cls=Verb)
@click.argument("out", type=_OUT, metavar="FILE")
@click.option("--bits", type=click.Choice(["2048", "3072", "4096"]), default="2048", help="Bits of the RSA key [2048].")
@click.option("--form", type=click.Choice(["pem", "cnri"]), default="pem", help="Form of both files [pem].")
@click.option(
    "--encryption", type=click.Choice(list(SCHEMES)), help="Encryption of a CNRI file [aes with a passphrase]."
)
@click.option("--new-passphrase-file", type=_FILE, metavar="FILE", help="Encrypt the private key with this passphrase.")
@click.pass_context
def generate(
    ctx: click.Context, out: Path, bits: str, form: str, encryption: str | None, new_passphrase_file: Path | None
) -> None:
    """Make an RSA key pair: FILE with mode 0600, and its public half beside it."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - loads cryptography
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    from resolver.wire.private_keys import private_key_from_der  # noqa: PLC0415 - as above

    native = rsa.generate_private_key(65_537, int(bits))
    key = private_key_from_der(native.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    _store(ctx, key, out, form, encryption, _passphrase(new_passphrase_file))


@click.command("convert", cls=Verb)
@click.argument("path", type=_FILE, metavar="FILE")
@click.argument("out", type=_OUT, metavar="NEW")
@click.option(
    "--form", type=click.Choice(["pem", "cnri"]), help="Form of NEW; the other one than FILE has, if not given."
)
@click.option(
    "--encryption", type=click.Choice(list(SCHEMES)), help="Encryption of a CNRI file [aes with a passphrase]."
)
@click.option("--passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of FILE.")
@click.option("--new-passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of NEW.")
@click.pass_context
def convert(
    ctx: click.Context,
    path: Path,
    out: Path,
    form: str | None,
    encryption: str | None,
    passphrase_file: Path | None,
    new_passphrase_file: Path | None,
) -> None:
    """Write the private key in FILE in the other form, and its public half beside it."""
    key = private_key_in(path, passphrase_file)
    is_pem = path.read_bytes().lstrip().startswith(b"-----BEGIN")
    _store(ctx, key, out, form or ("cnri" if is_pem else "pem"), encryption, _passphrase(new_passphrase_file))


@click.command("import", cls=Verb)
@click.argument("path", type=_FILE, metavar="CNRI_FILE")
@click.argument("out", type=_OUT, metavar="NEW")
@click.option("--passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of CNRI_FILE.")
@click.option("--new-passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of NEW.")
@click.pass_context
def import_(
    ctx: click.Context, path: Path, out: Path, passphrase_file: Path | None, new_passphrase_file: Path | None
) -> None:
    """Take a private key of CNRI's tools over as PEM."""
    key = private_key_in(path, passphrase_file)
    _store(ctx, key, out, "pem", None, _passphrase(new_passphrase_file))


@click.command("export", cls=Verb)
@click.argument("path", type=_FILE, metavar="FILE")
@click.argument("out", type=_OUT, metavar="CNRI_FILE")
@click.option("--encryption", type=click.Choice(list(SCHEMES)), help="Encryption of CNRI_FILE [aes with a passphrase].")
@click.option("--passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of FILE.")
@click.option("--new-passphrase-file", type=_FILE, metavar="FILE", help="Passphrase of CNRI_FILE.")
@click.pass_context
def export(
    ctx: click.Context,
    path: Path,
    out: Path,
    encryption: str | None,
    passphrase_file: Path | None,
    new_passphrase_file: Path | None,
) -> None:
    """Give a private key to CNRI's tools."""
    key = private_key_in(path, passphrase_file)
    _store(ctx, key, out, "cnri", encryption, _passphrase(new_passphrase_file))


def _store(
    ctx: click.Context, key: PrivateKey, out: Path, form: str, encryption: str | None, passphrase: bytes
) -> None:
    """Write the private key and its public half, and say what was written. Raises Failed before anything is."""
    from resolver.wire.keys import pem_of  # noqa: PLC0415 - loads cryptography

    if form == "pem" and encryption not in {None, "plain"}:
        raise Failed("--encryption is for CNRI's form: a PEM file is encrypted by its passphrase alone", INVALID)
    encryption = encryption or ("aes" if passphrase else "plain")
    if encryption == "plain" and passphrase:
        raise Failed("--encryption plain has no use for --new-passphrase-file: leave one of them out", INVALID)
    if encryption != "plain" and not passphrase:
        raise Failed(f"--encryption {encryption} needs --new-passphrase-file: give one", INVALID)
    if encryption in {"3des", "des-cbc", "des-ecb"}:
        note(f"{encryption} protects nothing any more: use it for a tool that knows nothing better only")
    public = _public_path(out, form)
    if public.exists():
        raise Failed(f"{public} exists already: name a new file", INVALID)
    half = pem_of("PUBLIC KEY", key.public.to_der()).encode() if form == "pem" else key.public.to_wire()
    _write(out, _pem_of(key, passphrase) if form == "pem" else _cnri_of(key, encryption, passphrase), 0o600)
    _write(public, half, 0o644)
    shown: dict[str, Any] = {"kind": key.kind, "private_key": str(out), "public_key": str(public), "form": form}
    emit(ctx, shown, f"{key.kind} key: private {out}, public {public}")
