"""Handles and prefixes as text and as keys (RFC 3651 section 2).

A handle is ``prefix "/" suffix``, split at the first ``/``. Comparison folds ASCII letters only:
``é`` and ``É`` differ, as in the reference implementation. A prefix is text, never a number:
``88.101.0042`` and ``88.101.42`` are two prefixes. A name without ``/`` means the prefix handle
``0.NA/<name>``.

This file does not know which prefixes exist.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple, Self

from resolver import limits
from resolver.errors import InvalidName, InvalidPrefix

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX_OF_PREFIXES = "0.NA"
"""The prefix whose suffixes are the prefixes (RFC 3651 section 2.1)."""

_FOLD_OCTETS = bytes(octet - 32 if 97 <= octet <= 122 else octet for octet in range(256))
_FOLD_TEXT = {letter: letter - 32 for letter in range(97, 123)}


def fold(text: str) -> str:
    """The text with ASCII a-z as A-Z; all else as it is."""
    return text.upper() if text.isascii() else text.translate(_FOLD_TEXT)


def fold_octets(octets: bytes) -> bytes:
    """The octets with ASCII a-z as A-Z; all else as it is."""
    return octets.translate(_FOLD_OCTETS)


def fold_prefix(text: str) -> str:
    """The handle with its prefix folded and its suffix as it is.

    Handles whose prefix starts with ``0.`` belong to the Handle System itself and are folded whole.
    """
    prefix, slash, suffix = text.partition("/")
    if not slash or prefix.startswith("0."):
        return fold(text)
    return f"{fold(prefix)}/{suffix}"


def key_of_octets(octets: bytes) -> bytes:
    """Key of a handle in the store: folded, and with a digest for its tail when it is long.

    Up to 448 octets the folded handle itself; above, its first 448 octets and the SHA-256 of the whole.
    """
    folded = octets.translate(_FOLD_OCTETS)
    if len(folded) <= limits.KEY_WHOLE_OCTETS_MAX:
        return folded
    return folded[: limits.KEY_WHOLE_OCTETS_MAX] + hashlib.sha256(folded).digest()


_REFERENCE_UTF8 = re.compile(
    rb"(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf7][\x80-\xbf]{3}|\xf8[\x88-\xbf][\x80-\xbf]{3}"
    rb"|[\xf9-\xfb][\x80-\xbf]{4}|\xfc[\x84-\xbf][\x80-\xbf]{4}|\xfd[\x80-\xbf]{5})*+"
)


def is_utf8(octets: bytes) -> bool:
    """Whether the octets are UTF-8 in the sense of the reference implementation.

    Overlong and truncated forms are not. Encoded surrogates are, and so are the forms of five and six octets of
    RFC 2279, although RFC 3629 forbids both. Names registered here must satisfy RFC 3629, see
    ``Handle.from_octets``.
    """
    try:
        octets.decode()
    except UnicodeDecodeError:
        return _REFERENCE_UTF8.fullmatch(octets) is not None
    return True


_CONTROLS = re.compile(rb"[\x00-\x08\x14-\x1f\x7f]")


def looks_binary(octets: bytes) -> bool:
    """Whether octets are better not shown as text: not UTF-8, or with control characters.

    As in the reference implementation the controls 0x09 to 0x13 count as text, tab and line ends among them.
    """
    if not is_utf8(octets):
        return True
    return _CONTROLS.search(octets) is not None


class Prefix(NamedTuple):
    """A prefix as text. Make it by ``from_text``."""

    text: str

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The prefix a text names; ``0.NA/X`` names the prefix X.

        Raises InvalidPrefix.
        """
        head, slash, tail = text.partition("/")
        if slash:
            if fold(head) != PREFIX_OF_PREFIXES:
                raise InvalidPrefix(
                    f"{text[:80]!r} is a handle, not a prefix: give the part before '/'", field="prefix"
                )
            text = tail
        if not text:
            raise InvalidPrefix("the prefix is empty: give one such as 88.300.1", field="prefix")
        if "/" in text or any(not segment for segment in text.split(".")):
            raise InvalidPrefix(
                f"{text[:80]!r} is not a prefix: segments between dots must not be empty or hold '/'",
                field="prefix",
            )
        if not text.isprintable() or " " in text:
            raise InvalidPrefix(
                f"{text[:80]!r} is not a prefix: spaces and control characters are not allowed", field="prefix"
            )
        octets = len(text.encode("utf-8", "surrogatepass"))
        if octets > limits.PREFIX_OCTETS_MAX:
            raise InvalidPrefix(
                f"the prefix has {octets} octets; at most {limits.PREFIX_OCTETS_MAX} are allowed", field="prefix"
            )
        return cls(text)

    @property
    def folded(self) -> str:
        """The prefix for comparison."""
        return fold(self.text)

    @property
    def key(self) -> bytes:
        """The key of the prefix in the store."""
        return fold(self.text).encode()

    @property
    def handle_key_start(self) -> bytes:
        """What the key of every handle under the prefix starts with."""
        return fold(self.text).encode() + b"/"

    @property
    def prefix_handle(self) -> str:
        """The handle that describes the prefix: ``0.NA/<prefix>``, folded."""
        return f"{PREFIX_OF_PREFIXES}/{fold(self.text)}"

    @property
    def parent(self) -> Prefix | None:
        """The prefix this one is derived from, None at the top: 88.300 for 88.300.1."""
        head, dot, _ = self.text.rpartition(".")
        return Prefix(head) if dot else None

    def is_derived_from(self, ancestor: Prefix) -> bool:
        """Whether the ancestor's segments, and at least one more, start this prefix."""
        return self.folded.startswith(ancestor.folded + ".")


class Handle(NamedTuple):
    """A handle. Make it by ``from_text`` or ``from_octets``."""

    text: str
    prefix: str
    suffix: str

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The handle a text names; without ``/`` the prefix handle ``0.NA/<text>``.

        Raises InvalidName for an empty or over-long name, an empty prefix or suffix and a name that cannot be
        UTF-8.
        """
        try:
            octets = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidName(
                f"the name holds an unpaired surrogate at character {error.start}: it cannot be written as UTF-8",
                field="name",
            ) from None
        return cls._checked(text, octets)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """The handle some octets name; they must be UTF-8 as RFC 3629 defines it. Raises InvalidName."""
        try:
            text = octets.decode()
        except UnicodeDecodeError as error:
            raise InvalidName(
                f"the name is not valid UTF-8: octet {error.start} is 0x{octets[error.start]:02x} ({error.reason})",
                field="name",
            ) from None
        return cls._checked(text, octets)

    @classmethod
    def _checked(cls, text: str, octets: bytes) -> Self:
        if not octets:
            raise InvalidName("the name is empty: give a handle such as 88.300.1/ABC", field="name")
        if len(octets) > limits.NAME_OCTETS_MAX:
            raise InvalidName(
                f"the name has {len(octets)} octets; a handle has at most {limits.NAME_OCTETS_MAX}", field="name"
            )
        prefix, slash, suffix = text.partition("/")
        if not slash:
            prefix, suffix = PREFIX_OF_PREFIXES, fold(text)
            text = f"{PREFIX_OF_PREFIXES}/{suffix}"
        if not prefix:
            raise InvalidName(
                f"{text[:80]!r} has no prefix: a handle is prefix, '/', suffix, such as 88.300.1/ABC", field="name"
            )
        if not suffix:
            raise InvalidName(
                f"{text[:80]!r} has no suffix: a handle is prefix, '/', suffix, such as 88.300.1/ABC", field="name"
            )
        return cls(text, prefix, suffix)

    @property
    def key(self) -> bytes:
        """The key of the handle in the store."""
        return key_of_octets(self.text.encode())

    def check_registrable(self) -> None:
        """Raise InvalidName when the name may be asked for but not be registered.

        The protocol allows any octets; control characters forge log lines and cannot be typed or printed.
        """
        for position, letter in enumerate(self.text):
            if letter < " " or "\x7f" <= letter <= "\x9f":
                raise InvalidName(
                    f"the name holds the control character U+{ord(letter):04X} at position {position}: remove it",
                    field="name",
                )

    @property
    def prefix_folded(self) -> str:
        """The prefix for comparison."""
        return fold(self.prefix)

    @property
    def prefix_handle(self) -> str:
        """The handle that describes this handle's prefix; ``0.NA/0.NA`` for prefix handles."""
        return f"{PREFIX_OF_PREFIXES}/{fold(self.prefix)}"

    def equals(self, other: Handle) -> bool:
        """Whether both name the same handle."""
        return fold(self.text) == fold(other.text)


class WantedTypes:
    """The types of values that are asked for; one is found in a time that does not grow with their number.

    Case of ASCII letters does not count; a wanted type that ends in ``.`` takes the type before the dot and every type
    below it. Whoever asks may name 2,000 types of a handle with 2,000 values, and whoever answers may send a type of a
    million dots: neither must take seconds from others.
    """

    __slots__ = ("_below", "_exact", "_lengths")

    def __init__(self, wanted: Iterable[str]) -> None:
        folded = [fold(each) for each in wanted]
        self._below = frozenset(each for each in folded if each.endswith("."))
        self._exact = frozenset(folded).difference(self._below).union(each[:-1] for each in self._below)
        self._lengths = sorted({len(each) for each in self._below})

    def __bool__(self) -> bool:
        """Whether any type is wanted."""
        return bool(self._exact)

    def __contains__(self, actual: str) -> bool:
        """Whether a value of type ``actual`` is asked for."""
        actual = fold(actual)
        if actual in self._exact:
            return True
        for length in self._lengths:
            if length > len(actual):
                return False
            if actual[length - 1] == "." and actual[:length] in self._below:
                return True
        return False


def has_type(actual: str, asked: str) -> bool:
    """Whether a value of type ``actual`` is of type ``asked`` or of one below it: URL.US is a URL."""
    actual, asked = fold(actual), fold(asked)
    return actual == asked or actual.startswith(asked + ".")


def split(text: str) -> tuple[str, str]:
    """Prefix and suffix of a name as the protocol splits it; either may be empty.

    A name without ``/`` has the prefix ``0.NA`` and is its own suffix. ``Handle.from_text`` is stricter.
    """
    prefix, slash, suffix = text.partition("/")
    return (prefix, suffix) if slash else (PREFIX_OF_PREFIXES, text)


def prefix_handle_of(text: str) -> str:
    """The prefix handle of any name: ``0.NA/88.300`` for ``88.300/x``, ``0.NA/0.NA`` for prefix handles."""
    return f"{PREFIX_OF_PREFIXES}/{fold(split(text)[0])}"


def whole_name(text: str) -> str:
    """The name with its prefix written out: ``0.NA/NOSLASH`` for ``noslash``, any other as it is."""
    return text if "/" in text else f"{PREFIX_OF_PREFIXES}/{fold(text)}"


def is_prefix_handle(text: str) -> bool:
    """Whether the name is a handle that describes a prefix."""
    return fold(text).startswith(f"{PREFIX_OF_PREFIXES}/")


def is_derived_prefix_handle(text: str) -> bool:
    """Whether the name is the handle of a prefix with a parent: ``0.NA/88.300`` is, ``0.NA/88`` is not."""
    return is_prefix_handle(text) and "." in split(text)[1]


def parent_prefix_handle(text: str) -> str:
    """The handle of the prefix that a prefix is derived from; ``0.NA/`` for one at the top."""
    prefix, suffix = split(text)
    return f"{prefix}/{suffix.rpartition('.')[0]}"


def is_under_prefix_handle(text: str, prefix_handle: str) -> bool:
    """Whether the handle belongs to the prefix that ``prefix_handle`` describes, not to one derived from it."""
    return is_prefix_handle(prefix_handle) and prefix_handle_of(text) == fold(prefix_handle)


def is_derived_from(prefix_handle: str, ancestor: str) -> bool:
    """Whether a prefix handle is derived from another, by one step or many."""
    return is_prefix_handle(ancestor) and fold(prefix_handle).startswith(fold(ancestor) + ".")


def equal(first: str, second: str) -> bool:
    """Whether two names name the same handle where case does not count."""
    return fold(first) == fold(second)


def equal_prefix_folded(first: str, second: str) -> bool:
    """Whether two names name the same handle where case counts in suffixes only."""
    return fold_prefix(first) == fold_prefix(second)
