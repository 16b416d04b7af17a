"""Hurts an input as an adversary would: by its structure where it is JSON, by its lines and words, and by its bytes."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

Json: TypeAlias = Any

TEXTS = (
    "",
    "\0",
    "\ud800",
    "\u202e\u2066gpj.exe",
    "\x1b]0;x\x07\x1b[2J\r\n::error::",
    "<script>alert(1)</script>",
    "=cmd()|' /C calc'!A0",
    "{{x}}{0}%s${x}",
    "a" * 5_000,
    "../../etc/passwd",
    "/subscriptions/",
    "/subscriptions/x/providers/a/b/c/providers//",
    "//",
    "*",
    "0.0.0.0/0",
    "::/0",
    "::ffff:1.2.3.4/96",
    "10.0.0.0/33",
    "10.0.0.1%eth0",
    "fe80::1%x/64",
    "1-65535",
    "65536-1",
    "-1",
    "²",
    "٣",
    "1_0",
    "1e999",
    "NaN",
    "9" * 5_000,
    "100m",
    "-5Gi",
    "1e10Ei",
    "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999999-23:59",
    "PT1e9H",
    "true",
    "null",
)
"""Texts that have been somebody's undoing."""

NUMBERS = (-1, 0, 1, 65_536, 2**31, 2**63, 2**64, 10**30, 1e308, -0.0, 0.1)


def mutate(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """An input with up to four things done to it; parts of the others may come into it."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        data = random.choice(_WAYS)(data, others, random)
    return data


_BRACKET = re.compile(rb"[\[{]")


def _json(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Hurt one document of those that stand on the lines, or the whole where it is one document."""
    lines = data.splitlines(keepends=True)
    number = random.randrange(len(lines)) if lines else 0
    on_lines = b"".join(lines[:number]), b"".join(lines[number : number + 1]), b"".join(lines[number + 1 :])
    for before, part, after in (on_lines, (b"", data, b"")):
        bracket = _BRACKET.search(part)
        at = bracket.start() if bracket else 0
        try:
            document = json.loads(part[at:])
        except (ValueError, RecursionError):
            continue
        try:
            return before + part[:at] + _written(_hurt(document, random), random) + b"\n" + after
        except (ValueError, RecursionError):
            return data
    return _words(data, others, random)


def _written(document: Json, random: Random) -> bytes:
    text = json.dumps(document, ensure_ascii=random.random() < 0.8)
    if random.random() < 0.05:
        text = re.sub(r'("[^"\\]+"): ', r"\1: null, \1: ", text, count=1)
    return text.encode("utf-8", "surrogatepass")


def _hurt(document: Json, random: Random) -> Json:
    holders = [node for node in _nodes(document) if node]
    if not holders:
        return _value(document, random)
    holder = random.choice(holders)
    place: Any = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match random.randrange(8):
        case 0:
            del holder[place]
        case 1 if isinstance(holder, dict):
            holder[random.choice((*TEXTS, place.swapcase(), place + "\u200b"))] = holder.pop(place)
        case 2:
            donor = random.choice(holders)
            holder[place] = donor[random.choice(list(donor) if isinstance(donor, dict) else range(len(donor)))]
            json.dumps(document)  # what holds itself is refused here
        case 3 if isinstance(holder, list):
            holder.extend([holder[place]] * random.choice((1, 1, 50)))
        case 4:
            for _ in range(random.choice((1, 1, 3, 60, 150))):
                holder[place] = random.choice(([holder[place]], {"properties": holder[place]}))
        case _:
            holder[place] = _value(holder[place], random)
    return document


def _value(value: Json, random: Random) -> Json:
    """Something else in the place of a value: mostly of its type, for what is read on is what can go wrong."""
    texts = isinstance(value, str) and random.random() < 0.7
    if texts and random.random() < 0.4:
        at = random.randint(0, len(value))
        return value[:at] + random.choice(TEXTS) + value[at + random.choice((0, 1)) :]
    if texts:
        return random.choice((*TEXTS, value.swapcase(), value * 2, value[: len(value) // 2]))
    if isinstance(value, (int, float)) and random.random() < 0.6:
        return random.choice((*NUMBERS, not value))
    return random.choice((None, True, False, [], {}, [None], {"": {}}, *NUMBERS, *TEXTS))


def _nodes(document: Json) -> list[Json]:
    found: list[Json] = []
    level = [document]
    while level:
        node = level.pop()
        if isinstance(node, (dict, list)):
            found.append(node)
            level.extend(node.values() if isinstance(node, dict) else node)
    return found


_OPENING = (b"[", b"{", b"(", b"${", b"'''", b'"""', b"&a ", b"*a", b"!!x ", b"---\n")
_WORD = re.compile(rb"\"(?:[^\"\\\n]|\\.)*\"|[\w.-]+|[^\w\s]")


def _words(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Put another word in the place of one: a nasty one, one of another input, several, or none."""
    words = [found.span() for found in _WORD.finditer(data[:100_000])]
    if not words:
        return _bytes(data, others, random)
    start, end = random.choice(words)
    other = random.choice(others) if others else data
    theirs = [found[0] for found in _WORD.finditer(other[:20_000])]
    nasty = random.choice(TEXTS).encode("utf-8", "surrogatepass")
    word = random.choice(
        (
            b"",
            nasty,
            b'"' + nasty + b'"',
            random.choice(theirs or [b"x"]),
            data[start:end] * random.choice((2, 3, 300)),
            str(random.choice(NUMBERS)).encode(),
            random.choice(_OPENING) * random.choice((1, 300)),
        )
    )
    return data[:start] + word + data[end:]


def _lines(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Lose, repeat, move or take over lines."""
    lines = data.splitlines(keepends=True)
    theirs = (random.choice(others) if others else data).splitlines(keepends=True)
    if not lines or not theirs:
        return _bytes(data, others, random)
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[at : at + random.choice((1, 1, 5))]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case 3:
            start = random.randrange(len(theirs))
            lines[at:at] = theirs[start : start + random.choice((1, 3, 20))]
        case _:
            lines[at] = random.choice((b" ", b"\t", b"  ", b"-")) + lines[at]
    return b"".join(lines)


def _bytes(data: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    """Cut, flip, insert or overwrite bytes anywhere."""
    at = random.randrange(len(data) + 1)
    match random.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + random.choice((1, 2, 16)) :]
        case 2:
            return data[:at] + bytes([random.randrange(256)]) + data[at:]
        case 3:
            return data[:at] + random.randbytes(random.choice((1, 4))) + data[at + 1 :]
        case _:
            return data[:at] + data[at : at + 1] * random.choice((2, 200)) + data[at:]


_WAYS: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _json, _json, _json, _json, _json, _words, _words, _lines, _bytes,
)  # fmt: skip
