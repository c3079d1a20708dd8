"""Which keys of a handle an answer is held against."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from resolver.node import authenticate
from resolver.wire import sm2
from resolver.wire.challenges import KeyPairAnswer
from resolver.wire.keys import Sm2PublicKey
from resolver.wire.requests import ChallengeAnswer
from tests.support.builders import value


def test_no_handle_has_an_answer_held_against_thousands_of_keys(monkeypatch):
    """An answer for index 0 of a handle full of SM2 keys took a worker's processor for three seconds."""
    data = Sm2PublicKey(*sm2.G).to_wire()
    values = [value(index, data, "HS_PUBKEY") for index in range(1, 2_048)]
    signature = encode_dss_signature(sm2.N - 5, sm2.N - 9)
    answer = ChallengeAnswer("HS_PUBKEY", "88.1/a", 0, KeyPairAnswer(b"SM3", signature).to_wire())
    tried = []
    monkeypatch.setattr(sm2, "verify", lambda *given: tried.append(given))
    found = authenticate.keys_of(values, answer.auth_type, answer.user_index)
    verdict = authenticate.verdict(answer, found, bytes(16), bytes(32), takes_legacy=True)
    assert verdict.index is None
    assert 0 < len(tried) <= 16


@pytest.mark.parametrize("kind", ["HS_PUBKEY", "HS_SECKEY"])
def test_a_key_that_is_named_is_found_behind_any_number_of_others(kind):
    values = [value(index, "key", kind) for index in range(1, 2_048)]
    assert [key.index for key in authenticate.keys_of(values, kind, 2_000)] == [2_000]
    assert authenticate.keys_of(values, kind, 0)[0].index == 1
