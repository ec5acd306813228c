"""A symmetry that windows are shown with: what a mirror makes of them, and what is no mirror."""

from __future__ import annotations

import pytest
import torch

from isthmus_policies.chunks.chunk_policy import ChunkSpec
from isthmus_policies.chunks.training.mirror import Mirror

SPEC = ChunkSpec(fps=10, columns={"observation.state": 3}, action_size=2, goal=("observation.state",))
SAID = ("observation.state=512-1,512-0,1.5-2", "action=-0,+1")


def test_each_window_is_as_it_was_or_mirrored_in_all_that_it_holds():
    state = torch.tensor([100.0, 200.0, 0.5])
    batch = {
        "observation.state": state.expand(400, 2, 3),
        "goal.observation.state": state.expand(400, 3),
        "action": torch.tensor([3.0, 4.0]).expand(400, 16, 2),
        "action_is_pad": torch.zeros(400, 16, dtype=torch.bool),
    }
    shown = Mirror.parsed(SAID, SPEC).half_mirrored(batch, torch.Generator().manual_seed(0))
    mirrored = shown["action"][:, 0, 0] == -3.0
    assert 150 < int(mirrored.sum()) < 250
    image = torch.tensor([312.0, 412.0, 1.0])
    for which, row, action in ((mirrored, image, (-3.0, 4.0)), (~mirrored, state, (3.0, 4.0))):
        assert torch.equal(shown["observation.state"][which], row.expand(int(which.sum()), 2, 3))
        assert torch.equal(shown["goal.observation.state"][which], row.expand(int(which.sum()), 3))
        assert torch.equal(shown["action"][which], torch.tensor(action).expand(int(which.sum()), 16, 2))
    assert shown["action_is_pad"] is batch["action_is_pad"]


def test_without_a_symmetry_nothing_changes_and_nothing_is_drawn():
    generator = torch.Generator().manual_seed(0)
    before, batch = generator.get_state(), {"action": torch.ones(2, 16, 2)}
    assert torch.equal(Mirror.parsed((), SPEC).half_mirrored(batch, generator)["action"], batch["action"])
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SAID[:1], "what is action in the mirror"),
        (("observation.state=0,1,2", "action=0"), "with 2 times"),
        (("observation.state=0,1,2", "action=0,x"), "with 2 times"),
        (("observation.state=0,1,2", "action=0,0"), "each place from 0 to 1 once"),
        (
            ("observation.state=0,1,2", "action=5+0,1"),
            "seen twice, action is not what it was; look at its number",
        ),
        (("observation.state=1,2,0", "action=0,1"), "seen twice, observation.state"),
        (("observation.elsewhere=0", *SAID), "no column that the policy reads or gives"),
    ],
)
def test_what_is_no_mirror_is_refused(said: tuple[str, ...], why: str):
    with pytest.raises(ValueError, match=why):
        Mirror.parsed(said, SPEC)


def test_cameras_would_not_be_mirrored():
    spec = ChunkSpec(fps=10, columns={}, cameras={"observation.images.top": (96, 96)}, action_size=2)
    with pytest.raises(ValueError, match=r"observation\.images\.top would not be mirrored"):
        Mirror.parsed(("action=-0,1",), spec)
