"""Challenge answers of the reference library: MACs recomputed, signatures verified, whole exchanges."""

from __future__ import annotations

from resolver.wire.challenges import KeyPairAnswer, SecretAnswer, answer_by_secret, secret_answer_code
from resolver.wire.digests import HashCode, digest_of
from resolver.wire.keys import public_key_from_wire
from resolver.wire.message import Message
from resolver.wire.signatures import preferred_hash, signature_algorithm, verify
from tests.resolver.wire.vectors import each, octets


@each("challenges", starting="mac-")
def test_mac_is_as_recorded(vector):
    secret, nonce, digest = (octets(vector[name]) for name in ("secret_hex", "nonce_hex", "request_digest_hex"))
    answer = SecretAnswer.from_wire(octets(vector["response_hex"]))
    assert answer.code == vector["hash_code"]
    assert answer.is_of(secret, nonce, digest)
    assert not answer.is_of(secret + b"x", nonce, digest)
    assert not answer.is_of(secret, nonce, digest + b"\0")
    made = answer_by_secret(
        secret, nonce, digest, HashCode(vector["hash_code"]), salt=octets(vector.get("salt_hex", ""))
    )
    assert made == answer
    assert made.to_wire().hex() == vector["response_hex"]


@each("challenges", starting="exchange-")
def test_exchange_is_as_recorded(vector):
    request = Message.from_wire(octets(vector["request_hex"]))
    challenge = Message.from_wire(octets(vector["challenge_hex"]))
    answer = Message.from_wire(octets(vector["answer_hex"]))
    assert request.header_and_body.hex() == vector["request_digest_input_hex"]
    assert challenge.body.nonce.hex() == vector["nonce_hex"]
    assert challenge.request_digest.octets.hex() == vector["request_digest_hex"]
    assert challenge.request_digest.code == vector["request_digest_hash_code"]
    version = challenge.envelope.version
    assert digest_of(request.header_and_body, version) == challenge.request_digest
    assert answer.body.auth_type == vector["auth_type"]
    assert f"{answer.body.user_index}:{answer.body.user_handle}" == f"{vector['key_index']}:{vector['key_handle']}"
    assert answer.body.signed_response.hex() == vector["signed_response_hex"]
    nonce, digest = challenge.body.nonce, challenge.request_digest.octets
    if "secret_utf8" in vector:
        given = SecretAnswer.from_wire(answer.body.signed_response)
        assert given.code == secret_answer_code(version)
        assert given.is_of(vector["secret_utf8"].encode(), nonce, digest)
    else:
        given = KeyPairAnswer.from_wire(answer.body.signed_response)
        key = public_key_from_wire(octets(vector["public_key_hex"]))
        assert given.algorithm.decode() == vector["hash_alg"]
        assert given.algorithm == preferred_hash(version, key.kind)
        assert given.signature.hex() == vector["signature_hex"]
        assert signature_algorithm(given.algorithm, key.kind) == vector["signature_alg"]
        assert given.is_of(key, nonce, digest, answer.body.user_handle) is vector["verifies"]
    assert given.to_wire() == answer.body.signed_response
    for message, name in ((request, "request_hex"), (challenge, "challenge_hex"), (answer, "answer_hex")):
        assert message.to_wire().hex() == vector[name]


@each("challenges", starting="signature-")
def test_signature_verifies_as_recorded(vector):
    key = public_key_from_wire(octets(vector["public_key_hex"]))
    covered = octets(vector["nonce_hex"]) + octets(vector["request_digest_hex"])
    algorithm = vector["hash_alg"].encode()
    assert verify(key, algorithm, octets(vector["signature_hex"]), covered) is vector["valid"]
    assert signature_algorithm(algorithm, key.kind) == vector["signature_alg"]


@each("challenges", starting="hash-alg-id-")
def test_hash_name_is_folded(vector):
    kind = vector["signature_alg"].rpartition("with")[2]
    assert signature_algorithm(octets(vector["hash_alg_id_hex"]), kind) == vector["signature_alg"]
