"""Shares of a fleet: each subscription in one of them, and in the same as others come and go."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit import snapshot
from aks_audit.cli import main
from aks_audit.shards import MOST, ShardError, Share, number_of, read

GUIDS = st.uuids().map(str)
SUBSCRIPTIONS = st.one_of(GUIDS, GUIDS.map(lambda guid: f"/subscriptions/{guid}"))


@given(SUBSCRIPTIONS, st.integers(1, MOST))
def test_every_subscription_belongs_to_exactly_one_share(subscription: str, of: int) -> None:
    assert 1 <= number_of(subscription, of) <= of
    near = {number_of(subscription, of) % of + 1, number_of(subscription, of), 1, of}
    assert [number for number in sorted(near) if Share(number, of).holds(subscription)] == [number_of(subscription, of)]


@given(st.lists(SUBSCRIPTIONS, unique=True), st.integers(1, 12))
def test_the_shares_are_the_whole(subscriptions: list[str], of: int) -> None:
    parts = [Share(number, of).part(subscriptions) for number in range(1, of + 1)]
    assert sorted(one for part in parts for one in part) == sorted(subscriptions)


@given(st.lists(SUBSCRIPTIONS, unique=True), SUBSCRIPTIONS, st.integers(1, 12), st.data())
def test_a_share_stays_as_others_come_and_go(subscriptions: list[str], new: str, of: int, data: st.DataObject) -> None:
    share = Share(data.draw(st.integers(1, of)), of)
    before = share.part(subscriptions)
    assert [one for one in share.part([*subscriptions, new]) if one != new] == [one for one in before if one != new]
    left = subscriptions[1:]
    assert share.part(left) == [one for one in before if one in left]


@given(GUIDS, st.integers(1, 12))
def test_a_subscription_is_in_the_same_share_however_its_id_is_written(guid: str, of: int) -> None:
    written = {guid, guid.upper(), f"/subscriptions/{guid}", f"/Subscriptions/{guid.upper()}/"}
    assert len({number_of(one, of) for one in written}) == 1


def test_shares_are_those_of_the_first_version() -> None:
    # A fleet is read by shards of several versions, in several runs that are held against each other.
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(8)]
    assert [number_of(one, 8) for one in ids] == [1, 2, 2, 8, 1, 6, 6, 8]


def test_shares_are_about_equal() -> None:
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(8000)]
    sizes = [len(Share(number, 8).part(ids)) for number in range(1, 9)]
    assert min(sizes) > 900
    assert max(sizes) < 1100


@pytest.mark.parametrize("text", ["3/8", "1/1", "8/8", f"{MOST}/{MOST}"])
def test_a_share_reads_as_it_is_written(text: str) -> None:
    assert str(read(text)) == text


@pytest.mark.parametrize(
    "text", ["", "3", "0/8", "9/8", "3/0", "-1/8", "3/8/2", "a/b", " 3/8", "3/8\n", "٣/8", "1/10001"]
)
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ShardError, match=re.escape("write K/N, such as 3/8")):
        read(text)


def test_a_wrong_share_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["collect", "-o", "x.jsonl", "--shard", "9/8"])
    assert ended.value.code == 2
    assert "write K/N, such as 3/8" in capsys.readouterr().err


@pytest.mark.parametrize("recorded", [["--demo"], ["--snapshot", "estate.jsonl"]])
def test_a_recorded_estate_is_not_shared_out(recorded: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", *recorded, "--shard", "1/2"]) == 2
    assert "--shard is of live scans" in capsys.readouterr().err


def test_a_header_tells_of_which_shard_it_is_and_one_of_no_shard_does_not() -> None:
    whole = snapshot.Header(schema=snapshot.SCHEMA, tool="aks-audit 1")
    shard = snapshot.Shard(3, 8, ("/subscriptions/a",), ("read=alerts",))
    part = snapshot.Header(schema=snapshot.SCHEMA, tool="aks-audit 1", shard=shard)
    assert b'"shard"' not in snapshot.encode([whole])
    written = b'"shard":{"number":3,"of":8,"seen":["/subscriptions/a"],"asked":["read=alerts"]}'
    assert written in snapshot.encode([part])
