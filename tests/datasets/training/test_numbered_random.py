"""Random numbers by their place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isthmus_datasets.training.numbered_random import streams, stretch, uniform

ZERO = np.zeros(1, np.uint64)


def test_they_are_those_of_splitmix64():
    """The first numbers of the published generator (Vigna's splitmix64.c) from the state 0."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert stretch(ZERO, 0, 3).tolist() == published


@given(st.integers(0, 2**40), st.integers(0, 20), st.integers(0, 20))
def test_a_stretch_needs_nothing_of_what_comes_before(place: int, before: int, count: int):
    whole = stretch(ZERO, place, before + count)
    assert stretch(ZERO, place + before, count).tolist() == whole[before:].tolist()


def test_seeds_and_streams_differ():
    starts = [start.item() for seeds in ([0, 1], [1, 0], [0, 2]) for start in streams(seeds, 2)]
    assert len(set(starts)) == 6
    assert [start.item() for start in streams([0, 1], 2)] == starts[:2]


def test_uniform_numbers_fill_the_interval():
    ends = uniform(np.array([0, 2**64 - 1], np.uint64))
    assert ends[0] == 0.0
    assert 1.0 - 2.0**-52 < ends[1] < 1.0
    counts, _ = np.histogram(uniform(stretch(streams([7], 1)[0], 0, 10_000)), bins=10, range=(0.0, 1.0))
    assert np.abs(counts - 1000).max() < 150, "five standard deviations"
