"""Which settings of a resource differ between two times of reading, without what changes by itself."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from aks_audit.results import JsonValue, Record
from aks_audit.snapshot import Body

NOISE = frozenset({
    # changes whenever anything else does, and says nothing about what
    "etag",
    "generation",
    "managedfields",
    "observedgeneration",
    "resourceversion",
    # says that Azure is at work, not at what
    "provisioningstate",
    # who touched it last, and when: activity logs tell that better
    "changedtime",
    "createdby",
    "createdon",
    "createdtime",
    "creationtimestamp",
    "systemdata",
    "uid",
    "updatedby",
    "updatedon",
})  # fmt: skip
"""Keys, in lower case, whose values are no settings, wherever they stand."""

_REACHED_AT = frozenset({"addresses", "loadBalancer"})
"""What of the status of an object inside a cluster is compared: where it is reached. The rest is its state."""

_EXACT = frozenset({"annotations", "labels", "matchLabels", "tags"})
"""What these hold is people's own words: compared with case, and no key in it is noise."""

_ORDERED = frozenset({"dnsServers", "servers"})
"""Lists of Azure whose order matters; that of others is as the service happened to send it."""

_IDENTITIES = ("name", "id", "type", "key")
"""By which key the items of two lists are held against each other, the first that tells them all apart."""


class Change(Record, frozen=True):
    """A value that differs: its JSON pointer, the same by the names of list items, and the value in each body.

    The pointer is one of the new body, and of the old where only that has the value. The side that has none lacks it.
    """

    pointer: str
    path: str
    old: "JsonValue | msgspec.UnsetType" = msgspec.UNSET
    new: "JsonValue | msgspec.UnsetType" = msgspec.UNSET


def changes(old: Body, new: Body, *, azure: bool) -> tuple[Change, ...]:
    """What differs between two bodies of one resource, in order of their paths.

    `azure` bodies are compared without case, and their lists without order; those of Kubernetes are compared exactly.
    An absent value and null are the same.
    """
    if not azure:
        old, new = _without_state(old), _without_state(new)
    if _encoder.encode(old) == _encoder.encode(new):
        return ()
    return tuple(_differ(old, new, _At("", "", exact=not azure, ordered=not azure)))


_encoder = msgspec.json.Encoder(order="deterministic")


def _without_state(body: Body) -> Body:
    status = body.get("status")
    if not isinstance(status, dict):
        return body
    return {**body, "status": {key: value for key, value in status.items() if key in _REACHED_AT}}


class _At(NamedTuple):
    """A place in both bodies, and how what is there is compared."""

    pointer: str
    path: str
    exact: bool
    ordered: bool

    def key(self, key: str) -> "_At":
        token = key.replace("~", "~0").replace("/", "~1")
        return _At(
            f"{self.pointer}/{token}",
            f"{self.path}.{key}" if self.path else key,
            self.exact or key in _EXACT,
            self.exact or key in _ORDERED,
        )

    def item(self, index: int, name: str = "") -> "_At":
        return self._replace(pointer=f"{self.pointer}/{index}", path=f"{self.path}[{name}]")

    def is_noise(self, key: str) -> bool:
        """Whether the value of a key here is no setting."""
        return key.lower() in NOISE and self.path.rpartition(".")[2] not in _EXACT

    def same(self, value: JsonValue) -> bytes:
        """The value as bytes that are equal where values are the same."""
        return _encoder.encode(_settings(value, self))


def _settings(value: JsonValue, at: _At) -> JsonValue:
    """The value without noise and null, in one case and order where these mean nothing."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if inner is not None and not at.is_noise(key)}
        return {key: _settings(inner, at.key(key)) for key, inner in kept.items()}
    if isinstance(value, list):
        items = [_settings(item, at) for item in value]
        return items if at.ordered else sorted(items, key=_encoder.encode)
    return value.lower() if isinstance(value, str) and not at.exact else value


def _differ(old: JsonValue, new: JsonValue, at: _At) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _objects(old, new, at)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, at)
    elif at.same(old) != at.same(new):
        yield _change(at, old, new)


def _change(at: _At, old: JsonValue, new: JsonValue) -> Change:
    sides = (msgspec.UNSET if value is None else value for value in (old, new))
    return Change(at.pointer, at.path, *sides)


def _objects(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], at: _At) -> Iterator[Change]:
    for key in sorted({*old, *new}):
        if not at.is_noise(key):
            yield from _differ(old.get(key), new.get(key), at.key(key))


def _lists(old: Sequence[JsonValue], new: Sequence[JsonValue], at: _At) -> Iterator[Change]:
    for identity in _IDENTITIES:
        before, after = _named(old, identity), _named(new, identity)
        if before is not None and after is not None:
            yield from _aligned(before, after, at)
            return
    yield from _unnamed(old, new, at)


_Named = dict[str, tuple[int, str, JsonValue]]


def _named(items: Collection[JsonValue], identity: str) -> _Named | None:
    """The items by what they are called, without case; None where that does not tell them apart."""
    found: _Named = {}
    for index, item in enumerate(items):
        name = item.get(identity) if isinstance(item, dict) else None
        if not isinstance(name, str) or name.lower() in found:
            return None
        found[name.lower()] = index, name, item
    return found


def _aligned(old: _Named, new: _Named, at: _At) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        index, spelled, _ = new.get(name) or old[name]
        before, after = (side[name][2] if name in side else None for side in (old, new))
        yield from _differ(before, after, at.item(index, spelled))


def _unnamed(old: Sequence[JsonValue], new: Sequence[JsonValue], at: _At) -> Iterator[Change]:
    """Of items without names: what one list has and the other has not, each as often as it stands there."""
    before, after = _left(old, new, at), _left(new, old, at)
    if len(before) == len(after) == 1:
        yield from _differ(before[0][1], after[0][1], at.item(after[0][0]))
        return
    yield from (Change(*at.item(index)[:2], old=item) for index, item in before)
    yield from (Change(*at.item(index)[:2], new=item) for index, item in after)
    if not before and not after and at.ordered and list(map(at.same, old)) != list(map(at.same, new)):
        yield _change(at, [*old], [*new])


def _left(items: Sequence[JsonValue], others: Sequence[JsonValue], at: _At) -> list[tuple[int, JsonValue]]:
    there, left = Counter(map(at.same, others)), []
    for index, item in enumerate(items):
        same = at.same(item)
        if not there[same]:
            left.append((index, item))
        there[same] -= 1
    return left
