"""Keys, key files and session encryption of the reference library."""

from __future__ import annotations

import pytest

from resolver.errors import MalformedMessage
from resolver.wire import sessions
from resolver.wire.ciphers import CipherCode
from resolver.wire.key_files import KeyFileScheme, open_key_file, read_key_file, scheme_of, write_key_file
from resolver.wire.keys import DhPublicKey, public_key_from_der, public_key_from_jwk, public_key_from_wire
from resolver.wire.predefined.hs_seckey import HsSeckey
from resolver.wire.private_keys import private_key_from_der, private_key_from_jwk, private_key_from_wire
from resolver.wire.sessions import SessionKey
from resolver.wire.versions import Version
from tests.resolver.wire.test_handle_value_vectors import key_fields
from tests.resolver.wire.vectors import each, load, octets, recorded


@each("keys_and_sessions", starting="keypair-")
def test_key_pair_in_every_form(vector):
    public = public_key_from_wire(octets(vector["public_key_hex"]))
    assert key_fields(public) == vector["public"]
    assert public.to_wire().hex() == vector["public_key_hex"]
    assert public.to_der().hex() == vector["spki_der_hex"]
    assert public.to_jwk() == vector["jwk_public"]
    assert public_key_from_der(octets(vector["spki_der_hex"])) == public
    assert public_key_from_jwk(vector["jwk_public"]) == public
    private = private_key_from_wire(octets(vector["private_key_hex"]))
    assert private.public == public
    assert private.to_wire().hex() == vector["private_key_hex"]
    assert private.to_jwk() == vector["jwk_private"]
    assert private_key_from_jwk(vector["jwk_private"]) == private
    assert private_key_from_der(octets(vector["pkcs8_der_hex"])) == private
    assert private.to_der().hex() == vector["pkcs8_der_hex"]


@each("keys_and_sessions", starting="private-key-file-")
def test_key_file_opens_and_is_written_back(vector):
    file, clear = octets(vector["file_hex"]), octets(vector["clear_hex"])
    passphrase = vector["passphrase"].encode() if "passphrase" in vector else None
    assert scheme_of(file) == vector["encryption_type"]
    assert open_key_file(file, passphrase) == clear
    read_key_file(file, passphrase)
    scheme = KeyFileScheme(vector["encryption_type"])
    salt = iv = b""
    if scheme is KeyFileScheme.DES_CBC:
        iv = file[4:12]
    elif scheme in {KeyFileScheme.PBKDF2_TRIPLE_DES, KeyFileScheme.PBKDF2_AES}:
        salt, iv = file[8:24], file[36 : 36 + (16 if scheme is KeyFileScheme.PBKDF2_AES else 8)]
    assert write_key_file(clear, scheme, passphrase or b"", salt=salt, iv=iv) == file
    if passphrase is not None:
        with pytest.raises(MalformedMessage):
            read_key_file(file, passphrase + b"x")
        with pytest.raises(MalformedMessage, match="passphrase"):
            read_key_file(file)


@pytest.mark.parametrize("scheme", list(KeyFileScheme))
def test_key_file_of_every_scheme_reads_back(scheme):
    clear = octets(recorded("keys_and_sessions")[0]["private_key_hex"])
    iv = bytes(16 if scheme is KeyFileScheme.PBKDF2_AES else 8)
    file = write_key_file(clear, scheme, "pass-ü".encode(), salt=bytes(16), iv=iv)
    assert open_key_file(file, "pass-ü".encode()) == clear


@each("keys_and_sessions", starting="dh-keys")
def test_both_sides_reach_the_same_session_keys(vector):
    client, server = (public_key_from_wire(octets(vector[f"{side}_public_hex"])) for side in ("client", "server"))
    for key, side in ((client, "client"), (server, "server")):
        assert isinstance(key, DhPublicKey)
        assert key_fields(key) == vector[side]
        assert key.to_wire().hex() == vector[f"{side}_public_hex"]
    x, y = (int(vector[f"{side}_private_x_hex"], 16) for side in ("client", "server"))
    assert sessions.public_half(x, client) == client
    secret = sessions.shared_secret(x, server)
    assert secret == sessions.shared_secret(y, client)
    for other in load("keys_and_sessions"):
        if other["id"].startswith("dh-session-key-"):
            key = sessions.derive(secret, CipherCode(other["algorithm"]))
            assert key.octets.hex() == other["session_key_hex"]


@each("keys_and_sessions", starting="dh-session-key-")
def test_session_key_encodes_back(vector):
    key = SessionKey.from_wire(octets(vector["encoded_key_hex"]))
    assert key == SessionKey(CipherCode(vector["algorithm"]), octets(vector["session_key_hex"]))
    assert key.to_wire().hex() == vector["encoded_key_hex"]


@each("keys_and_sessions", starting="session-encrypt-")
def test_session_encryption_is_as_recorded(vector):
    key = SessionKey(CipherCode(vector["algorithm"]), octets(vector["session_key_hex"]))
    version = Version.from_text(vector["protocol_version"])
    cipher, plain = octets(vector["cipher_hex"]), octets(vector["plain_hex"])
    assert sessions.decrypt_octets(cipher, key, version) == plain
    assert sessions.encrypt_octets(plain, key, version, cipher[: key.cipher.block_octets]) == cipher


@each("keys_and_sessions", starting="seckey-hash-")
def test_hashed_secret_is_as_recorded(vector):
    assert HsSeckey.from_password(vector["password"]).to_wire().decode() == vector["stored"]
