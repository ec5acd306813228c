"""Rows through shared memory: in order, never half, never overwritten before they were taken, and losses counted."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.flight.ring import Ring

ROW = np.dtype([("number", "<i8"), ("rest", "u1", (5,))])
SIZE = 4


def row(number: int) -> np.ndarray:
    made = np.zeros(1, ROW)
    made["number"], made["rest"] = number, number % 251
    return made.view(np.uint8)


def numbers(rows: np.ndarray) -> list[int]:
    assert (rows["rest"] == rows["number"][:, None] % 251).all()
    return rows["number"].tolist()


@given(st.lists(st.one_of(st.sampled_from(["put", "look", "last look"]), st.integers(1, 6)), max_size=80))
def test_it_is_a_queue_that_loses_only_what_finds_no_room(steps: list[str | int]):
    here = Ring.create(ROW, SIZE)
    there = Ring(here.fd, ROW)  # as the other process has it
    kept: list[int] = []
    count = freed = taken = seen = whole = 0
    for step in steps:
        if step == "put":
            if len(kept) - freed < SIZE:
                kept.append(count)
            here.put(row(count))
            count += 1
        elif isinstance(step, int):
            expected = kept[taken : min(taken + step, whole)]
            assert numbers(there.take(step)) == expected
            taken += len(expected)
        else:
            there.look(last=step == "last look")
            freed, whole, seen = taken, len(kept) if step == "last look" else seen, len(kept)
    os.close(here.fd)
    assert here.lost == there.lost == count - len(kept)


def test_a_producer_that_is_faster_loses_the_newest_and_goes_on_once_there_is_room():
    ring = Ring.create(ROW, SIZE)
    for number in range(6):
        ring.put(row(number))
    assert ring.lost == 2
    ring.look(last=True)
    assert numbers(ring.take(10)) == [0, 1, 2, 3]
    ring.put(row(6))
    assert ring.lost == 3, "what was taken is free only after the next look"
    ring.look()
    ring.put(row(7))
    ring.look(last=True)
    assert numbers(ring.take(10)) == [7]
    assert ring.lost == 3
    os.close(ring.fd)


def test_the_other_side_says_why_it_has_ended():
    here = Ring.create(ROW, SIZE)
    assert here.ended == ""
    Ring(here.fd, ROW).ended = "cannot write: " + 300 * "x"
    assert here.ended.startswith("cannot write: xxx")
    os.close(here.fd)
