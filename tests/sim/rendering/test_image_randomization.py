"""Image randomisation: what each range does to an image, that none leaves it, and that a seed repeats it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from isthmus_sim.rendering.image_randomization import ImageRandomization, randomize

UNCHANGED = ImageRandomization(
    brightness=(0, 0), contrast=(1, 1), hue=(0, 0), saturation=(1, 1), blur=(0, 0), noise=(0, 0), shift=(0, 0),
    crop=(1, 1), cut_out=(0, 0),
)  # fmt: skip
GROUND = np.linspace(60, 180, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint8)
GREY = np.full((64, 96, 3), 100, np.uint8)
RED = np.full((64, 96, 3), (200, 100, 100), np.uint8)


def changed(image: NDArray[np.uint8], seed: int = 0, **ranges: tuple[float, float]) -> NDArray[np.uint8]:
    return randomize(image, replace(UNCHANGED, **ranges), np.random.default_rng(seed))


@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_is_the_same_image_of_the_same_kind(seed: int):
    first, again, other = (
        randomize(GROUND, ImageRandomization(), np.random.default_rng(s)) for s in (seed, seed, seed + 1)
    )
    assert first.shape == GROUND.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_range_leaves_it_as_it_is_and_a_copy():
    before = GROUND.copy()
    same = changed(GROUND)
    assert np.array_equal(same, GROUND)
    same[:] = 0
    randomize(GROUND, ImageRandomization(), np.random.default_rng(0))
    assert np.array_equal(GROUND, before), "what is given is not written to"


def test_brightness_and_contrast_by_hand():
    assert (changed(GREY, brightness=(0.2, 0.2)) == 151).all()
    assert (changed(GREY, brightness=(1.0, 1.0)) == 255).all()
    halves = GREY.copy()
    halves[:32] = 140  # mean 120
    twice = changed(halves, contrast=(1.5, 1.5))
    assert (twice[:32] == 150).all()
    assert (twice[32:] == 90).all()


def test_hue_and_saturation_by_hand():
    assert (changed(RED, hue=(120.0, 120.0)) == (100, 200, 100)).all()
    assert (changed(RED, hue=(-120.0, -120.0)) == (100, 100, 200)).all()
    assert (changed(RED, saturation=(0.0, 0.0)) == 200).all()
    assert (changed(RED, saturation=(2.0, 2.0)) == (200, 0, 0)).all()
    assert np.array_equal(changed(GREY, hue=(90.0, 90.0)), GREY)


def test_blur_spreads_a_point_and_keeps_its_sum():
    point = np.zeros((96, 96, 3), np.uint8)
    point[48, 48] = 250
    spread = changed(point, blur=(1.0, 1.0))
    assert spread[48, 48, 0] == pytest.approx(250 / (2 * np.pi), abs=2)
    assert spread[..., 0].sum() == pytest.approx(250, abs=15)


def test_noise_has_its_size():
    off = changed(GREY, noise=(0.02, 0.02)).astype(float) - 100
    assert off.std() == pytest.approx(5.1, rel=0.05)
    assert abs(off.mean()) < 0.15


def test_a_shift_moves_all_alike_and_repeats_the_rim():
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, :, None], (64, 96, 3)).copy()
    moved = changed(ramp, shift=(0.125, 0.125))
    assert (moved[:, 20] == 20 - 12).all()
    assert (moved[:, :12] == 0).all()


def test_a_crop_makes_a_part_as_large_as_the_whole():
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, :, None], (64, 96, 3)).copy()
    part = changed(ramp, crop=(0.5, 0.5)).astype(float)
    assert part[0, 90, 0] - part[0, 10, 0] == pytest.approx(40, abs=1.01)


def test_a_cut_out_is_one_square_of_one_color():
    for seed in range(20):
        cut = (changed(GROUND, seed, cut_out=(0.25, 0.25)) != GROUND).any(axis=-1)
        rows, columns = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
        assert 1 <= len(rows) <= 16
        assert 1 <= len(columns) <= 16
        assert len(np.unique(changed(GROUND, seed, cut_out=(0.25, 0.25))[cut], axis=0)) == 1


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("crop", (0.0, 1.0)), ("crop", (0.9, 1.1)), ("noise", (-0.1, 0.1)), ("hue", (5.0, -5.0)), ("cut_out", (0.0, 2.0))],
)
def test_a_range_that_means_nothing_is_refused(name: str, bounds: tuple[float, float]):
    with pytest.raises(ValueError, match=f"{name} cannot be from"):
        replace(UNCHANGED, **{name: bounds})
