from __future__ import annotations

import threading

import pytest

from edge_ssd.channels import Channel, Closed


def test_items_come_out_in_order() -> None:
    channel: Channel[int] = Channel(3)
    for item in range(3):
        assert channel.put(item) == 0
    assert [channel.get(0) for _ in range(3)] == [0, 1, 2]
    assert channel.get(0) is None


def test_the_newest_frame_slot_keeps_the_newest_and_counts_the_rest() -> None:
    slot: Channel[int] = Channel(1, lossy=True)
    assert [slot.put(item) for item in range(4)] == [0, 1, 1, 1]
    assert slot.get(0) == 3
    assert slot.get(0) is None


def test_a_full_lossless_channel_makes_the_giver_wait() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    given = threading.Event()

    def give() -> None:
        channel.put(2)
        given.set()

    giver = threading.Thread(target=give)
    giver.start()
    assert not given.is_set()
    assert channel.get(60) == 1
    assert given.wait(60)
    assert channel.get(60) == 2
    giver.join(60)


def test_closed_channel_is_drained_then_raises() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.close()
    with pytest.raises(Closed):
        channel.put(2)
    assert channel.get(0) == 1
    with pytest.raises(Closed):
        channel.get(0)


def test_the_error_a_channel_is_closed_with_comes_after_its_last_item() -> None:
    channel: Channel[int] = Channel(1, lossy=True)
    channel.put(1)
    channel.close(OSError("unplugged"))
    channel.close()
    assert not channel.drained
    assert channel.get(0) == 1
    assert channel.drained
    with pytest.raises(OSError, match="unplugged"):
        channel.get(0)


def test_abort_discards_counts_and_wakes_both_sides() -> None:
    full: Channel[int] = Channel(1)
    full.put(1)
    empty: Channel[int] = Channel(1)
    woken: list[str] = []

    def giver() -> None:
        try:
            full.put(2)
        except Closed:
            woken.append("giver")

    def taker() -> None:
        try:
            empty.get(60)
        except Closed:
            woken.append("taker")

    threads = [threading.Thread(target=giver), threading.Thread(target=taker)]
    for thread in threads:
        thread.start()
    assert full.abort() == 1
    assert empty.abort() == 0
    for thread in threads:
        thread.join(60)
    assert sorted(woken) == ["giver", "taker"]
