"""JSON documents made of octets, any octets: a mutant is a document too, and of eight in ten texts none is one.

    kind of 3 bits, number of 5 | what follows

A text may be one of the words that the documents to begin with are made of, and so may the name of a member. Where
octets run out, the rest is missing.
"""

import json

_NULL, _SMALL, _LARGE, _TEXT, _WORD, _LIST, _OBJECT, _DOUBLE = range(8)
_CONSTANTS = (None, True, False)
_DOUBLES = (0.5, -0.0, 1e300, float("inf"), float("nan"), 1.0)
_DEPTH_MAX = 40
_WORD_OCTETS_MAX = 40


class Words:
    """The words of some documents, in order."""

    def __init__(self, documents):
        found = {}
        for document in documents:
            self._collect(document, found)
        self._words = tuple(found) or ("",)
        self._places = {word: place for place, word in enumerate(self._words)}

    def _collect(self, document, found):
        if isinstance(document, str) and len(document) <= _WORD_OCTETS_MAX:
            found[document] = None
        for part in document if isinstance(document, list) else ():
            self._collect(part, found)
        for name, part in document.items() if isinstance(document, dict) else ():
            found[name] = None
            self._collect(part, found)

    def document(self, octets):
        """The text of the document that octets stand for."""
        return json.dumps(_Reading(octets, self._words).value(0)).encode()

    def octets(self, document):
        """The octets that stand for a document, or nearly."""
        if document is None or isinstance(document, bool):
            return _head(_NULL, _CONSTANTS.index(document))
        if isinstance(document, int):
            small = 0 <= document < 256
            octets = (document % (1 << 64)).to_bytes(1 if small else 8, "big")
            return _head(_SMALL if small else _LARGE, 0) + octets
        if isinstance(document, float):
            return _head(_DOUBLE, 0)
        if isinstance(document, str):
            return _head(_WORD, 0) + self._place(document) if document in self._places else _text(document)
        if isinstance(document, list):
            return _head(_LIST, len(document)) + b"".join(map(self.octets, document))
        members = (self._place(name) + self.octets(part) for name, part in document.items())
        return _head(_OBJECT, len(document)) + b"".join(members)

    def _place(self, word):
        return self._places[word].to_bytes(2, "big")


def _head(kind, number):
    return bytes([kind | (number & 0x1F) << 3])


def _text(text):
    octets = text.encode()[:0xFFFF]
    return _head(_TEXT, 0) + len(octets).to_bytes(2, "big") + octets


class _Reading:
    """Octets being read."""

    def __init__(self, octets, words):
        self._octets, self._at, self._words = octets, 0, words

    def _take(self, count):
        octets = self._octets[self._at : self._at + count]
        self._at += count
        return octets

    def _number(self, count):
        return int.from_bytes(self._take(count), "big")

    def _word(self):
        return self._words[self._number(2) % len(self._words)]

    def _items(self, count, depth):
        for _ in range(count):
            if self._at >= len(self._octets):
                return
            yield self.value(depth + 1)

    def _members(self, count, depth):
        for _ in range(count):
            if self._at >= len(self._octets):
                return
            yield self._word(), self.value(depth + 1)

    def value(self, depth):
        """The next value."""
        head = self._number(1)
        kind, number = head & 7, head >> 3
        if depth > _DEPTH_MAX:
            return None
        if kind == _LIST:
            return list(self._items(number, depth))
        if kind == _OBJECT:
            return dict(self._members(number, depth))
        return self._plain(kind, number)

    def _plain(self, kind, number):
        if kind == _TEXT:
            return self._take(self._number(2)).decode("utf-8", "replace")
        if kind == _WORD:
            return self._word()
        if kind in {_SMALL, _LARGE}:
            return self._number(1) if kind == _SMALL else int.from_bytes(self._take(8), "big", signed=True)
        return _CONSTANTS[number % 3] if kind == _NULL else _DOUBLES[number % len(_DOUBLES)]
