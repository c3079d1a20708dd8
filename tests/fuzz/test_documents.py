"""Documents come back from their octets, and any octets are a document."""

import json
import random

from tests.fuzz.documents import Words

DOCUMENT = {
    "index": 1,
    "data": {"format": "string", "value": "https://example.org/"},
    "list": [None, True, False, 300, -1, 0.5, "x" * 100, "轴承", {}],
}


def test_a_document_comes_back():
    words = Words([DOCUMENT])
    assert json.loads(words.document(words.octets(DOCUMENT))) == DOCUMENT
    assert len(words.octets(DOCUMENT)) < 200


def test_any_octets_are_a_document_of_bounded_size():
    words, chance = Words([DOCUMENT]), random.Random(1)
    for _ in range(300):
        text = words.document(chance.randbytes(chance.randrange(200)))
        json.loads(text)
    assert len(words.document(b"\xfd" * 4_096)) < 100_000
