"""Delays between attempts: they double up to a limit, vary, and begin again."""

from __future__ import annotations

from edge_ssd.backoff import Backoff


def test_delays_double_up_to_the_last_and_begin_again() -> None:
    backoff = Backoff(0.5, 3)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1, 2, 3, 3]
    backoff.reset()
    assert [backoff.next_s() for _ in range(2)] == [0.5, 1]


def test_no_delay_is_longer_than_the_last() -> None:
    assert Backoff(5, 2).next_s() == 2


def test_each_delay_varies_within_the_jitter() -> None:
    two = [Backoff(1, 10, jitter=(0.5, 1)) for _ in range(2)]
    first, second = ([backoff.next_s() for _ in range(8)] for backoff in two)
    for delay_s, longest_s in zip(first, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert longest_s / 2 <= delay_s <= longest_s
    assert first != second
