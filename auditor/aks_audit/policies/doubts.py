"""What must be so for a rule to decide, where that cannot be known, so that the same doubt counts once.

A doubt has several possible answers: whether a policy is enforced, whether an endpoint whose labels were not read is
selected, which of some policies comes first. All that follows from one answer is compared with what follows from the
others; only where these differ the outcome is unknown.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import combinations, product
from operator import or_
from typing import NamedTuple, TypeAlias

from aks_audit.policies.model import Policy

Doubt: TypeAlias = Hashable
"""What cannot be known: a set of worlds (bits of their numbers), or whatever else, which may be so or not."""

_MOST_ANSWERS = 256


class Given(NamedTuple):
    """What is taken for so: one of some `worlds` (bits of their numbers), and an answer to each of some doubts.

    `certain`: nothing is, as it holds in all worlds and answers no doubt.
    """

    worlds: int = -1
    answers: frozenset[tuple[Doubt, object]] = frozenset()
    certain: bool = True


NOTHING = Given()


def assume(given: Given, doubt: Doubt, answer: object) -> Given | None:
    """What is given and an answer to a doubt; None where they contradict each other."""
    if isinstance(doubt, int):
        worlds = given.worlds & (doubt if answer else ~doubt)
        if worlds == given.worlds:
            return given
        return Given(worlds, given.answers, certain=False) if worlds else None
    if (doubt, answer) in given.answers:
        return given
    if any(doubt == other for other, _ in given.answers):
        return None
    return Given(given.worlds, given.answers | {(doubt, answer)}, certain=False)


def branches(given: Given, doubts: Iterable[Doubt]) -> tuple[Given | None, list[Given]]:
    """What is given with all doubts being so, None where they can't be; and all other ways that it may be."""
    others: list[Given] = []
    holding: Given | None = given
    for doubt in doubts:
        if holding is None:
            break
        if without := assume(holding, doubt, answer=False):
            others.append(without)
        holding = assume(holding, doubt, answer=True)
    return holding, others


def together(one: Given, other: Given) -> bool:
    """Whether two may be so at once."""
    if not one.worlds & other.worlds:
        return False
    known = dict(one.answers)
    return all(known.get(doubt, answer) == answer for doubt, answer in other.answers)


def every_answer(all_given: Sequence[Given]) -> Iterator[Given]:
    """Each answer to all doubts that some are about; nothing where there are too many."""
    worlds = reduce(or_, (given.worlds for given in all_given), 0)
    known: dict[Doubt, dict[object, None]] = {}
    for given in all_given:
        for doubt, answer in given.answers:
            of_doubt = known.setdefault(doubt, {True: None, False: None} if isinstance(answer, bool) else {})
            of_doubt[answer] = None
    count = reduce(lambda size, answers: size * len(answers), known.values(), _worlds_in(worlds))
    if count <= _MOST_ANSWERS:
        for world in range(_worlds_in(worlds)):
            for answers in product(*known.values()):
                yield Given(1 << world & worlds, frozenset(zip(known, answers, strict=True)), certain=False)


def _worlds_in(worlds: int) -> int:
    return max(worlds.bit_length(), 1)


def possible_worlds(policies: Iterable[Policy], worlds: Sequence[frozenset[str]]) -> tuple[frozenset[str], ...]:
    """Each possible set of the kinds that are enforced, of those of which that is not certain."""
    kinds = sorted({policy.kind for policy in policies if not policy.certain})
    if not kinds:
        return (frozenset(),)
    if worlds:
        return tuple(dict.fromkeys(world.intersection(kinds) for world in worlds))
    return tuple(frozenset(some) for size in range(len(kinds) + 1) for some in combinations(kinds, size))
