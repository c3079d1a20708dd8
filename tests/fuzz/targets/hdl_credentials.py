"""Answers to challenges, keys in every form, and key files: what comes from whoever wants to be believed."""

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from resolver.errors import WireError
from resolver.wire import bounds, key_files, keys, private_keys, sessions, signatures
from resolver.wire.challenges import KeyPairAnswer, SecretAnswer
from resolver.wire.versions import OWN
from tests.fuzz import lengths
from tests.resolver.wire.vectors import octets as of_hex
from tests.resolver.wire.vectors import recorded

INSTRUMENT = (
    "resolver.wire.challenges",
    "resolver.wire.keys",
    "resolver.wire.private_keys",
    "resolver.wire.key_files",
    "resolver.wire.sessions",
    "resolver.wire.signatures",
    "resolver.wire.sm2",
    "resolver.wire.ciphers",
)
_HASH_CODES = (1, 2, 3, 0x12, 0x13, 0x22)
_ONE_OF_256_BITS = 1 << 255
_NONCE, _DIGEST = bytes(16), bytes(32)


def _secret_answer(octets):
    answer = SecretAnswer.from_wire(octets)
    assert SecretAnswer.from_wire(answer.to_wire()) == answer
    if answer.iterations <= 1_000:  # the bound itself is forty milliseconds, as much as an input may take
        assert not answer.is_of(b"nobody's secret", _NONCE, _DIGEST)


def _key_pair_answer(octets):
    answer = KeyPairAnswer.from_wire(octets)
    assert KeyPairAnswer.from_wire(answer.to_wire()) == answer
    for key in (_RSA, _DSA):
        assert not answer.is_of(key, _NONCE, _DIGEST, "88/x")


def _public_key(octets):
    key = keys.public_key_from_wire(octets)
    assert keys.public_key_from_wire(key.to_wire()) == key
    if key.kind != "DH":  # whoever has put it into a handle may have answers checked by it
        signature = encode_dss_signature(octets[-1] + 1, _ONE_OF_256_BITS) if key.kind != "RSA" else _signature_of(key)
        for algorithm in (b"SHA1", b"SM3"):
            assert not signatures.verify(key, algorithm, signature, octets)


def _signature_of(key):
    """As many octets as the modulus has, of a number below it."""
    return b"\0" + bytes([1]) * ((key.modulus.bit_length() + 7) // 8 - 1)


def _private_key(octets):
    private_keys.private_key_from_wire(octets).to_wire()


def _key_file(octets):
    before, bounds.PBKDF2_ITERATIONS_MAX = bounds.PBKDF2_ITERATIONS_MAX, 1_000  # an operator waits for his own files
    try:
        key_files.open_key_file(octets, b"passphrase")
    finally:
        bounds.PBKDF2_ITERATIONS_MAX = before


def _exchange(octets):
    _, key = sessions.exchange_data_from_wire(octets, OWN)
    sessions.check_group(key)


_DECODERS = (_secret_answer, _key_pair_answer, _public_key, _private_key, _key_file, _exchange)
_KINDS = [
    ("challenges", "response_hex", (0, 1)),
    ("keys_and_sessions", "public_key_hex", (2,)),
    ("keys_and_sessions", "spki_der_hex", (2,)),
    ("keys_and_sessions", "private_key_hex", (3,)),
    ("keys_and_sessions", "file_hex", (4,)),
    ("keys_and_sessions", "server_public_hex", (2, 5)),
]
SEEDS = tuple(
    bytes([place]) + of_hex(vector[member])
    for file, member, places in _KINDS
    for vector in recorded(file)
    if member in vector
    for place in places
)
_PUBLIC = [of_hex(vector["public_key_hex"]) for vector in recorded("keys_and_sessions") if "public_key_hex" in vector]
_RSA = next(key for key in map(keys.public_key_from_wire, _PUBLIC) if key.kind == "RSA")
_DSA = next(key for key in map(keys.public_key_from_wire, _PUBLIC) if key.kind == "DSA")


def feed(octets):
    """The first octet chooses the decoder; as it came and with lengths that agree."""
    decoder, data = _DECODERS[(octets[0] if octets else 0) % len(_DECODERS)], octets[1:]
    _decode(decoder, data)
    mended = lengths.mended_octets(decoder, _with_known_form(decoder, data))
    if mended != data:
        _decode(decoder, mended)


def _with_known_form(decoder, data):
    """A hash code or a scheme of a key file that there is, where one stands."""
    if decoder is _secret_answer and data:
        return bytes([_HASH_CODES[data[0] % len(_HASH_CODES)]]) + data[1:]
    if decoder is _key_file and len(data) >= 4:
        return bytes(3) + bytes([data[3] % len(key_files.KeyFileScheme)]) + data[4:]
    return data


def _decode(decoder, data):
    try:
        decoder(data)
    except WireError as error:
        assert error.message
