"""The image encoder: what it sees, and that it points at the right place."""

from __future__ import annotations

import pytest
import torch

from isthmus_policies.networks.cnn import Cnn, CnnConfig, SpatialSoftmax, _planes
from isthmus_sim.task import Group

IMAGE = Group(shape=(64, 64, 3), dtype="uint8")


def images(*lead: int, group: Group = IMAGE, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*lead, *group.shape), dtype=torch.uint8, generator=generator)


def test_the_spatial_softmax_is_the_mean_place_by_hand():
    """Two of six places are equally strong, the others infinitely weaker: columns -1, 0, 1, rows -1, 1. Channel 0:
    columns -1 and 1 of the first row; channel 1: the last place alone."""
    maps = torch.full((1, 2, 2, 3), -1e9)
    maps[0, 0, 0, 0] = maps[0, 0, 0, 2] = 5.0
    maps[0, 1, 1, 2] = 5.0
    columns_then_rows = [0.0, 1.0, -1.0, 1.0]
    torch.testing.assert_close(SpatialSoftmax(2, 3)(maps), torch.tensor([columns_then_rows]))


def test_it_can_be_taught_where_a_spot_is():
    """The place of one bright spot in 32 x 32, to 5 % of the width, on images that it has not seen."""
    torch.manual_seed(0)
    group = Group(shape=(32, 32, 3), dtype="uint8")
    network = Cnn(group, CnnConfig(channels=(8, 8)))
    head = torch.nn.Linear(network.size, 2)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-2)

    def drawn(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        place = torch.randint(2, 30, (n, 2))
        image = torch.randint(0, 60, (n, *group.shape), dtype=torch.uint8)
        for i, (row, column) in enumerate(place.tolist()):
            image[i, row - 1 : row + 2, column - 1 : column + 2] = 255
        return image, place / 15.5 - 1

    for _ in range(120):
        image, place = drawn(64)
        loss = (head(network(image)) - place).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image, place = drawn(200)
    with torch.no_grad():
        error = (head(network(image)) - place).abs().mean()
    assert float(error) < 0.1


@pytest.mark.parametrize("spatial_softmax", [True, False])
def test_rows_are_independent_and_may_have_any_leading_axes(spatial_softmax: bool):
    """GroupNorm knows nothing of the batch: an image gives the same features alone and among others."""
    torch.manual_seed(0)
    network = Cnn(IMAGE, CnnConfig(spatial_softmax=spatial_softmax, features=10)).eval()
    batch = images(3, 2)
    with torch.no_grad():
        together = network(batch)
        alone = network(batch[1, 1:2])
    assert together.shape == (3, 2, network.size)
    assert network.size == (64 if spatial_softmax else 10)
    torch.testing.assert_close(together[1, 1], alone[0])
    assert not torch.allclose(together[0, 0], together[1, 1])


def test_pixels_are_centred_and_colours_kept_apart():
    """The first layer sees (pixel / 255 - 0.5) with channels in front."""
    network = Cnn(Group(shape=(4, 4, 3), dtype="uint8"), CnnConfig(patch=4, channels=(3,)))
    seen: list[torch.Tensor] = []
    network.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    image[0, 1, 2] = torch.tensor([255, 51, 0], dtype=torch.uint8)
    network(image)
    torch.testing.assert_close(seen[0][0, :, 1, 2], torch.tensor([0.5, -0.3, -0.5]))
    assert float(seen[0][0, :, 0, 0].max()) == -0.5


def test_a_window_of_images_is_read_as_more_channels():
    network = Cnn(Group(shape=(2, 8, 8, 3), dtype="uint8"), CnnConfig(patch=2, channels=(4,)))
    window = images(5, group=Group(shape=(2, 8, 8, 3), dtype="uint8"))
    with torch.no_grad():
        first = network(window)
        other = network(window.flip(1))
    assert first.shape == (5, 8)
    assert not torch.allclose(first, other), "the order of the images matters"


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (Group(shape=(2, 64, 3), dtype="uint8"), "images of 2x64 are smaller than a patch of 4"),
        (Group(shape=(64, 64, 3)), "are no images"),
        (Group(shape=(7,), dtype="uint8"), "are no images"),
    ],
)
def test_what_is_no_image_is_refused(group: Group, told: str):
    with pytest.raises(ValueError, match=told):
        Cnn(group, CnnConfig())


def test_a_place_sees_over_its_edges_as_far_as_it_is_told():
    """The second place of a row, of patches of 4 pixels, sees columns 4 to 7, and with an overlap 3 to 8."""
    image = torch.zeros(1, 8, 16, 3, dtype=torch.uint8)
    group = Group(shape=(8, 16, 3), dtype="uint8")
    for overlap, seen in ((0, range(4, 8)), (1, range(3, 9))):
        layer = Cnn(group, CnnConfig(patch=4, overlap=overlap, channels=(4,))).layers[0]
        changes = []
        for column in range(16):
            other = image.clone()
            other[:, 0, column] = 255
            before, after = (layer(_planes(rows))[0, :, 0, 1] for rows in (image, other))
            changes.append(not torch.allclose(before, after))
        assert [column for column, changed in enumerate(changes) if changed] == list(seen)


@pytest.mark.parametrize(
    "wrong", [{"channels": ()}, {"channels": (4, 0)}, {"patch": 0}, {"features": -1}, {"overlap": -1}]
)
def test_sizes_that_cannot_be_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="at least 1"):
        CnnConfig(**wrong)
