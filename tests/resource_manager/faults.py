"""Failures that a test scripts: which requests are struck, and by what."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from resource_manager.answers import Answer


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is torn down (RST) before a byte of the answer is sent."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The right answer, but in pieces of `size` bytes with `pause` seconds before each."""

    pause: float
    size: int = 64


@dataclass(frozen=True, slots=True)
class Truncated:
    """The first half of the right answer.

    Where `announced`, the length of the whole was announced and the connection ends early, which the transport can
    see; else the length is that of the half, and only a JSON parser can see it.
    """

    announced: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing for some seconds, then the right answer."""

    seconds: float


Effect: TypeAlias = Answer | Reset | Slow | Truncated | Hang


@dataclass(frozen=True, slots=True)
class Fault:
    """An effect on some of the requests whose path and query hold the regular expression `path`, without case.

    It strikes from the `nth` such request on (the first is 1), and so many `times`; None is for ever. A request
    of another `method` is not counted.
    """

    path: str
    effect: Effect
    nth: int = 1
    times: int | None = 1
    method: str = "GET"


class Script:
    """The faults of a server and how often each has been met; may be used by several threads."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._lock = Lock()
        self._met = [(fault, re.compile(fault.path, re.IGNORECASE), [0]) for fault in faults]

    def effect(self, method: str, target: str) -> Effect | None:
        """What strikes this request: the first fault that does. Every fault that fits it counts it."""
        with self._lock:
            effects = [
                fault.effect
                for fault, pattern, met in self._met
                if fault.method == method and pattern.search(target) and _strikes(fault, met)
            ]
        return effects[0] if effects else None


def _strikes(fault: Fault, met: list[int]) -> bool:
    met[0] += 1
    return met[0] >= fault.nth and (fault.times is None or met[0] < fault.nth + fault.times)
