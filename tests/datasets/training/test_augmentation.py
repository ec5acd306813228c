"""Changes of images: the same for all of a window, drawn by the generator, within what is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus_datasets.training.augmentation import Blur, ColorJitter, RandomCrop, Sequential
from isthmus_datasets.training.numbered_random import WindowRandom

TRANSFORMS = (RandomCrop(pixels=3), ColorJitter(), Blur(sigma=2.0, share=1.0))


def random(count: int, seed: int = 0) -> WindowRandom:
    return WindowRandom(np.random.default_rng(seed).integers(2**63, size=count))


@pytest.mark.parametrize("transform", [*TRANSFORMS, Sequential(TRANSFORMS)], ids=lambda each: type(each).__name__)
def test_all_images_of_a_window_change_alike_as_the_seed_says(transform):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 1, 3, 12, 16), generator=generator, dtype=torch.uint8).repeat(1, 3, 1, 1, 1)
    changed = transform(images, random(5, 1))
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert torch.equal(changed[:, 0], changed[:, 2])
    assert torch.equal(changed, transform(images, random(5, 1)))
    assert not torch.equal(changed, transform(images, random(5, 2)))
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("transform", [*TRANSFORMS, Sequential(TRANSFORMS)], ids=lambda each: type(each).__name__)
def test_a_window_changes_as_its_own_draw_says_whatever_is_beside_it(transform):
    generator = torch.Generator().manual_seed(0)
    images, draws = torch.randint(0, 256, (6, 2, 3, 12, 16), generator=generator, dtype=torch.uint8), np.arange(6)
    changed = transform(images, WindowRandom(draws))
    order = [4, 1, 3]
    assert torch.equal(transform(images[order], WindowRandom(draws[order])), changed[order])
    alike = transform(images[:1].repeat(6, 1, 1, 1, 1), WindowRandom(draws))
    assert len({image.numpy().tobytes() for image in alike}) > 1, "and another draw says something else"


def test_a_crop_moves_a_point_by_so_many_pixels_and_repeats_the_edge():
    images = torch.zeros(200, 1, 3, 9, 9, dtype=torch.uint8)
    images[..., 4, 4], images[..., 0] = 255, 9
    moved = RandomCrop(pixels=2)(images, random(200))
    places = (moved[:, 0, 0] == 255).nonzero()[:, 1:]
    assert (places.min(), places.max()) == (2, 6)
    assert set(moved[:, 0, 0, 0, 0].tolist()) == {0, 9}, "moved right, the edge's own color stands beyond it"


def test_colors_stay_within_their_factors():
    grey = torch.full((300, 1, 3, 4, 4), 100, dtype=torch.uint8)
    found = ColorJitter(brightness=0.3, contrast=0.9, saturation=0.9)(grey, random(300)).float()
    assert 70 <= found.min() < 75
    assert 125 < found.max() <= 130
    assert (found.amax((1, 2, 3, 4)) == found.amin((1, 2, 3, 4))).all(), "grey stays grey, even stays even"


def test_a_blur_spreads_a_point_and_keeps_its_sum():
    point = torch.zeros(40, 2, 3, 15, 15, dtype=torch.uint8)
    point[..., 7, 7] = 255
    blurred = Blur(sigma=2.0, share=1.0)(point, random(40)).float()
    assert blurred[:, :, :, 7, 7].min() < 60
    assert torch.allclose(blurred.sum((-1, -2)), torch.tensor(255.0), rtol=0.12)
    assert torch.equal(Blur(share=0.0)(point, random(40)), point)
