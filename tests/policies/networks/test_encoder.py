"""Groups of any kind become one vector."""

from __future__ import annotations

import pytest
import torch

from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.encoder import Encoder
from isthmus_sim.task import Group

GROUPS = {
    "actor": Group(shape=(3,)), "past": Group(shape=(2, 2)), "image": Group(shape=(8, 8, 3), dtype="uint8"),
    "flags": Group(shape=(4,), dtype="uint8"),
}  # fmt: skip


def test_vectors_and_windows_are_normalised_and_follow_one_another():
    encoder = Encoder(GROUPS, ("past", "actor"))
    assert encoder.size == 7
    (past, normalizer), (actor, _) = encoder.normalizers()
    assert (past, actor) == ("past", "actor")
    normalizer.merge(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.full((4,), 4.0), 10)
    rows = {"past": torch.tensor([[[1.0, 2.0], [5.0, 8.0]]]), "actor": torch.tensor([[7.0, 8.0, 9.0]])}
    torch.testing.assert_close(encoder(rows), torch.tensor([[0.0, 0.0, 1.0, 2.0, 7.0, 8.0, 9.0]]))


def test_images_go_through_a_network_of_their_own_in_sequences_too():
    encoder = Encoder(GROUPS, ("actor", "image"), CnnConfig(patch=2, channels=(4,)))
    assert encoder.size == 3 + 8
    rows = {"actor": torch.randn(5, 2, 3), "image": torch.randint(0, 256, (5, 2, 8, 8, 3), dtype=torch.uint8)}
    features = encoder(rows)
    assert features.shape == (5, 2, 11)
    one = encoder({name: value[3] for name, value in rows.items()})
    torch.testing.assert_close(features[3], one)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("actor", "depth"), "unknown observation group 'depth'; the task has: actor, past, image, flags"),
        ((), "no observation group to read; the task has: actor, past, image, flags"),
        (("image",), r"'image' is an image \(8, 8, 3\), and this policy reads vectors only \(actor, past\); choose"),
        (("flags",), r"'flags' is uint8 of shape \(4,\): neither a vector of float32 nor images"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_can(names: tuple[str, ...], told: str):
    with pytest.raises(ValueError, match=told):
        Encoder(GROUPS, names)


def test_images_that_are_too_small_are_named():
    with pytest.raises(ValueError, match="'image': images of 8x8 are smaller than a patch of 16"):
        Encoder(GROUPS, ("image",), CnnConfig(patch=16))
