"""Images shifted at random."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.algorithms.sac.shift import shifted, with_shifts


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, height: int, width: int, *window: int) -> torch.Tensor:
    """Images whose pixels say where they are."""
    rows = torch.arange(height, dtype=torch.uint8).view(height, 1, 1)
    columns = torch.arange(width, dtype=torch.uint8).view(1, width, 1)
    pixel = torch.cat(torch.broadcast_tensors(rows, columns, rows * 0 + 7), dim=-1)
    return pixel.expand(n, *window, height, width, 3).contiguous()


@given(seed=st.integers(0, 1000), most=st.integers(0, 2))
def test_every_image_is_moved_as_one(seed: int, most: int):
    """By the same number of rows and columns everywhere, but where the border is repeated."""
    images = numbered(5, 6, 8)
    for image in shifted(images, most, generator(seed)).long():
        down = image[..., 0] - images[0, ..., 0]
        right = image[..., 1] - images[0, ..., 1]
        assert int(down.abs().max()) <= most
        assert int(right.abs().max()) <= most
        middle = slice(most, -most or None)
        assert len(down[middle].unique()) == 1
        assert len(right[:, middle].unique()) == 1
        assert (image[..., 2] == 7).all()


def test_shifts_by_hand():
    """One pixel to the left: the column at the right is there twice."""
    images = numbered(200, 3, 3)
    moved = shifted(images, 1, generator())
    columns, rows = moved[:, 0, :, 1], moved[:, :, 0, 0]
    left = (columns == torch.tensor([1, 2, 2])).all(-1) & (rows == torch.tensor([0, 1, 2])).all(-1)
    assert 0.04 < float(left.float().mean()) < 0.2, "one in nine"


def test_a_window_moves_alike_and_images_do_not():
    moved = shifted(numbered(50, 6, 6, 2), 2, generator())
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert not torch.equal(moved[0], moved[1]) or not torch.equal(moved[1], moved[2])


def test_only_images_of_a_batch_are_shifted():
    images, numbers = numbered(20, 6, 6), torch.randn(20, 3, generator=generator())
    seen = {"image": images, "actor": numbers}
    zeros = torch.zeros(20)
    batch = Transitions(observations=seen, action=zeros, reward=zeros, next=seen, discount=zeros, known=zeros.bool())
    moved = with_shifts(batch, 2, generator())
    assert moved.observations["actor"] is numbers
    assert not torch.equal(moved.observations["image"], images)
    assert not torch.equal(moved.observations["image"], moved.next["image"]), "each by itself"
