"""Every reader, a moment long, against what `tests/fuzz/run.py` throws at it for hours: the same inputs each time."""

from random import Random

import pytest

from fuzz.mutate import mutate
from fuzz.targets import TARGETS

SLOW = {"report": 6, "baseline": 12, "gzip": 25, "damage": 25, "kubernetes": 15}
"""How many inputs these take in two seconds; the others take more."""


@pytest.mark.parametrize("name", TARGETS)
def test_hurt_input_is_refused_or_read(name: str) -> None:
    target, random = TARGETS[name], Random(8)  # noqa: S311 - the same each time
    seeds = sorted(target.seeds(), key=len)[:40]
    for _ in range(SLOW.get(name, 60)):
        target.check(mutate(random.choice(seeds), seeds, random))
