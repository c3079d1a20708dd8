"""Where a handle leads: the choice among its locations, and which addresses may be led to.

A document names filters in order; each keeps the locations that fit, and one that none fits keeps all. Chance decides
between those that are left, by weight. Only http and https addresses are led to: a registered value must not make a
browser run anything, and text appended by whoever asks must not change the host. Which locations a handle has is told
by ``location_sets``.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from resolver.wire.predefined.loc_10320 import CHOOSE_BY_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from resolver.wire.predefined.loc_10320 import Location

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
"""Statuses that a location may ask for by ``http_sc``."""

LOCATIONS_MAX = 1_000
"""Locations of one document that are looked at."""

URL_OCTETS_MAX = 8_192
"""Octets of an address that is led to: what browsers and balancers take."""

_SAFE = "!#$%&'()*+,/:;=?@[]~"
_SAFE_IN_PATH = ":@/!$()*,;="
_HOST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


class Asked(NamedTuple):
    """What is known of whoever asks: attributes wanted, most wanted first, country (two letters), address.

    An attribute with the value None is wanted with any value.
    """

    attributes: tuple[tuple[str, str | None], ...] = ()
    country: str = ""
    address: str = ""


class Target(NamedTuple):
    """An address to lead to, and the status to do it with."""

    url: str
    status: int = 302


def choose(
    locations: Sequence[Location], settings: Mapping[str, str], asked: Asked, chance: Callable[[], float]
) -> Location | None:
    """The location to lead to; None when there is none.

    ``settings`` are what documents say of all their locations; ``chance`` gives numbers from 0 to below 1.
    """
    left: Sequence[Location] = [each for each in locations[:LOCATIONS_MAX] if each.href]
    listed = settings.get("choose_by", settings.get("chooseby", ""))
    for name in [part.strip().lower() for part in listed.split(",") if part.strip()] or CHOOSE_BY_DEFAULT:
        if len(left) <= 1:
            break
        if name == "weighted":
            break
        left = _FILTERS[name](left, asked) or left if name in _FILTERS else left
    return _by_weight(left, chance)


def _by_attribute(left: Sequence[Location], asked: Asked) -> Sequence[Location]:
    for name, text in asked.attributes:
        kept = [each for each in left if name in each.attributes and text in {None, each.attributes[name]}]
        left = kept or left
    return left


def _by_country(left: Sequence[Location], asked: Asked) -> Sequence[Location]:
    wanted = asked.country.lower()
    if wanted:
        here = [each for each in left if each.attributes.get("country", "").lower() == wanted]
        if here:
            return here
    return [each for each in left if not each.attributes.get("country")]


def _by_address(left: Sequence[Location], asked: Asked) -> Sequence[Location]:
    return [each for each in left if _covers(each.attributes.get("addresses", ""), asked.address)]


def _covers(networks: str, address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    for text in networks.replace(",", " ").split()[:64]:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue
        if network.version == parsed.version and parsed in network:
            return True
    return False


def _by_score(left: Sequence[Location], _asked: Asked) -> Sequence[Location]:
    scores = [_number(each.attributes.get("score", "")) for each in left]
    best = max(scores, default=0.0)
    return [each for each, score in zip(left, scores, strict=True) if score == best]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if number == number else 0.0  # noqa: PLR0124 - not a number is not equal to itself


_FILTERS = {"locatt": _by_attribute, "country": _by_country, "address": _by_address, "score": _by_score}
"""The filters by the name they have in ``chooseby``; ``weighted`` is what happens at the end in any case."""


def _by_weight(left: Sequence[Location], chance: Callable[[], float]) -> Location | None:
    if not left:
        return None
    total = sum(each.weight for each in left)
    if total <= 0:
        return left[min(int(chance() * len(left)), len(left) - 1)]
    point = chance() * total
    for each in left:
        point -= each.weight
        if point < 0 < each.weight:
            return each
    return max(left, key=lambda each: each.weight)


def filled(location: Location, name: str) -> str:
    """The address of a location for a handle, with what a template leaves open filled in."""
    template = location.attributes.get("href_template", "") if "href" not in location.attributes else ""
    whole, path = (quote(name.encode("utf-8", "surrogateescape"), safe=safe) for safe in ("*", _SAFE_IN_PATH))
    return template.replace("{hdl:path}", path).replace("{hdl}", whole) or location.href


def target_of(location: Location, settings: Mapping[str, str], name: str) -> Target | None:
    """Where a location leads for a handle; None when that is no address of the web."""
    url = web_address(filled(location, name))
    if url is None:
        return None
    status = location.attributes.get("http_sc", settings.get("http_sc", ""))
    asked = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 302
    return Target(url, asked if asked in REDIRECT_STATUSES else 302)


def web_address(text: str, appended: str = "") -> str | None:
    """The address of the web that a text is, percent-encoded for a header; None for anything else.

    ``appended`` goes behind it, unless the address would then be of another host.
    """
    plain = text.strip()
    try:
        before, after = urlsplit(plain), urlsplit(plain + appended)
        known = (before.hostname, before.port)
        same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    except ValueError:
        return None
    if before.scheme.lower() not in {"http", "https"} or not known[0] or (appended and not same):
        return None
    # Parsing passes over control characters that a browser may not pass over: the text itself must begin so.
    head = f"{before.scheme}://{before.netloc}"
    if plain[: len(head)].lower() != head.lower():
        return None
    plain = before.scheme + "://" + _ascii_place(before.netloc) + plain[len(head) :]
    encoded = quote((plain + appended).encode("utf-8", "surrogateescape"), safe=_SAFE)
    if any(letter <= " " for letter in before.netloc) or len(encoded) > URL_OCTETS_MAX:
        return None
    return encoded


def _ascii_place(place: str) -> str:
    """User, host and port with the host in the letters of the DNS (IDNA); as it is when that cannot be."""
    user, at, host_port = place.rpartition("@")
    host, colon, port = host_port.partition(":")
    if host.isascii():
        return place
    try:
        encoded = host.encode("idna").decode("ascii")
    except UnicodeError:
        return place
    return user + at + encoded + colon + port if set(encoded.lower()) <= _HOST_LETTERS else place
