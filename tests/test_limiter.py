"""The token buckets, on a clock of the test's own."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_audit.sources.azure.limiter import AKS_BURST, ARM_BURST, ARM_RATE, GRAPH_BURST, GRAPH_RATE, Bucket, Limiter


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 20), st.integers(1, 10))
def test_no_window_holds_more_than_burst_and_refill(pauses: list[float], burst: int, rate: int) -> None:
    clock = Clock()
    bucket = Bucket(burst, rate, clock)
    times = []
    for pause in pauses:
        clock.now += pause
        times.append(clock.now + bucket.reserve())
    assert times == sorted(times)
    for first, start in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - start) * rate + 1 + 1e-6


def test_what_the_server_says_is_left_counts() -> None:
    bucket = Bucket(10, 1, Clock())
    bucket.left(2)
    assert [bucket.reserve() for _ in range(3)] == [0, 0, 1]
    bucket.left(100)
    assert bucket.reserve() == 2


def test_a_pause_holds_everybody_back() -> None:
    clock = Clock()
    bucket = Bucket(10, 2, clock)
    bucket.pause(5)
    bucket.pause(3)
    assert bucket.reserve() == 5.5
    clock.now = 100
    assert bucket.reserve() == 0


def test_calls_about_one_cluster_take_from_the_smaller_bucket_too() -> None:
    cluster = "/subscriptions/S/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c/providers/x/y"
    assert burst_of(cluster) == AKS_BURST
    assert burst_of("/subscriptions/S/providers/Microsoft.ContainerService/managedClusters") == ARM_BURST
    assert burst_of("/subscriptions/S/providers/Microsoft.Network/virtualNetworks") == ARM_BURST


def burst_of(path: str) -> float:
    """How many calls of a path are admitted at once."""
    limiter = Limiter(Clock())
    admitted = 0
    while all(bucket.reserve() == 0 for bucket in limiter.buckets(path)):
        admitted += 1
    return admitted


def test_subscriptions_do_not_wait_for_each_other() -> None:
    limiter = Limiter(Clock())
    limiter.learn("/subscriptions/a/x", {}, retry_after=60)
    assert [bucket.reserve() for bucket in limiter.buckets("/subscriptions/b/x")] == [0]
    assert [bucket.reserve() for bucket in limiter.buckets("/subscriptions/A/x")] == [60 + 1 / ARM_RATE]


def test_remaining_reads_are_learned_from_headers_of_any_case() -> None:
    limiter = Limiter(Clock())
    limiter.learn("/subscriptions/a/x", {"x-ms-ratelimit-remaining-subscription-reads": "0"}, None)
    assert limiter.buckets("/subscriptions/a/x")[0].reserve() > 0
    limiter.learn("/subscriptions/a/x", {"x-ms-ratelimit-remaining-subscription-reads": "many"}, None)


def test_admitting_takes_a_token() -> None:
    limiter = Limiter(Clock())
    asyncio.run(limiter.admit("/subscriptions/a/x"))
    admitted = 0
    while limiter.buckets("/subscriptions/a/x")[0].reserve() == 0:
        admitted += 1
    assert admitted == ARM_BURST - 1


def test_resource_graph_has_a_bucket_of_its_own_that_waits_for_a_new_quota() -> None:
    path = "/providers/Microsoft.ResourceGraph/resources"
    assert burst_of(path) == GRAPH_BURST
    limiter = Limiter(Clock())
    limiter.learn(path, {"x-ms-user-quota-remaining": "3", "x-ms-user-quota-resets-after": "00:00:05"}, None)
    assert [bucket.reserve() for bucket in limiter.buckets(path)] == [0]
    limiter.learn(path, {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:05"}, None)
    assert [bucket.reserve() for bucket in limiter.buckets(path)] == [5 + 1 / GRAPH_RATE]
    assert [bucket.reserve() for bucket in limiter.buckets("/subscriptions")] == [0]


@pytest.mark.parametrize(("told", "seconds"), [("10:00:00", 60), ("00:01:00", 60), ("soon", 0), ("", 0)])
def test_a_quota_is_not_waited_for_longer_than_a_minute(told: str, seconds: float) -> None:
    path = "/providers/Microsoft.ResourceGraph/resources"
    limiter = Limiter(Clock())
    limiter.learn(path, {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": told}, None)
    assert [bucket.reserve() for bucket in limiter.buckets(path)] == [pytest.approx(seconds + 1 / GRAPH_RATE)]
