"""The replay gives back what happened: rewards added up to an end, never across a cut, never across two worlds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from signs import Signs, SignsConfig

from isthmus_policies.algorithms.sac.replay import ReplayBuffer, Transitions, transition_bytes
from isthmus_sim.specs import CommandSpec
from isthmus_sim.task import Group

GROUPS = {"actor": Group(shape=(2,)), "image": Group(shape=(1, 1, 3), dtype="uint8")}
GAMMA = 0.5


def buffer(worlds: int, steps: int, task: object = Signs) -> ReplayBuffer:
    return ReplayBuffer(task, GROUPS, worlds, steps, torch.device("cpu"))  # pyright: ignore


def seen(step: int, worlds: int) -> dict[str, torch.Tensor]:
    """An observation that tells its step and world."""
    world = torch.arange(worlds)
    rows = torch.stack((torch.full((worlds,), float(step)), world.float()), dim=-1)
    return {"actor": rows, "image": (rows[:, :1].byte() % 250).view(worlds, 1, 1, 1).expand(-1, 1, 1, 3)}


def filled(ends: list[str], worlds: int = 1, steps: int = 100) -> ReplayBuffer:
    """A step for every letter, alike in all worlds: "." goes on, "t" is terminated, "c" cut. Step k earns k + 1 plus
    100 times its world, and its action is its number."""
    replay = buffer(worlds, steps)
    replay.begin(seen(0, worlds))
    for k, letter in enumerate(ends):
        terminated, truncated = (torch.full((worlds,), letter == which) for which in "tc")
        reward = k + 1 + 100.0 * torch.arange(worlds)
        replay.add(torch.full((worlds, 2), float(k)), reward, terminated, truncated, seen(k + 1, worlds))
    return replay


def drawn(replay: ReplayBuffer, n_step: int, size: int = 400) -> dict[tuple[int, int], tuple]:
    """By step and world: reward, discount, known, where it led to."""
    batch = replay.sample(size, n_step, GAMMA, torch.Generator().manual_seed(0))
    return dict(_rows(batch))


def _rows(batch: Transitions):
    for i in range(len(batch.reward)):
        step, world = map(int, batch.observations["actor"][i])
        assert batch.action[i].tolist() == [step, step]
        assert batch.observations["image"][i].flatten().tolist() == [step % 250] * 3
        there = tuple(map(int, batch.next["actor"][i]))
        yield (step, world), (float(batch.reward[i]), float(batch.discount[i]), bool(batch.known[i]), there)


def test_one_step_by_hand():
    found = drawn(filled(list("..t.c.")), n_step=1)
    assert found == {
        (0, 0): (1.0, 0.5, True, (1, 0)),
        (1, 0): (2.0, 0.5, True, (2, 0)),
        (2, 0): (3.0, 0.0, True, (3, 0)),  # an end: what follows is worth nothing
        (3, 0): (4.0, 0.5, True, (4, 0)),
        (4, 0): (0.0, 1.0, False, (4, 0)),  # right before a cut
        (5, 0): (6.0, 0.5, True, (6, 0)),  # what the newest step led to is the newest observation
    }


def test_three_steps_by_hand():
    """A return ends with its episode, before a cut, and where nothing newer is known."""
    found = drawn(filled(list("..t.c.")), n_step=3)
    assert found == {
        (0, 0): (1 + 2 / 2 + 3 / 4, 0.0, True, (3, 0)),
        (1, 0): (2 + 3 / 2, 0.0, True, (3, 0)),
        (2, 0): (3.0, 0.0, True, (3, 0)),
        (3, 0): (4.0, 0.5, True, (4, 0)),
        (4, 0): (0.0, 1.0, False, (4, 0)),
        (5, 0): (6.0, 0.5, True, (6, 0)),
    }


def test_worlds_end_each_for_themselves():
    replay = buffer(2, 10)
    replay.begin(seen(0, 2))
    none = torch.zeros(2, dtype=torch.bool)
    for k, (terminated, truncated) in enumerate([([True, False], none), (none, [False, True]), (none, none)]):
        flags = torch.as_tensor(terminated), torch.as_tensor(truncated)
        replay.add(torch.full((2, 2), float(k)), torch.tensor([1.0, 10.0]), *flags, seen(k + 1, 2))
    found = drawn(replay, n_step=2)
    assert found[0, 0] == (1.0, 0.0, True, (1, 0))
    assert found[0, 1] == (10.0, 0.5, True, (1, 1)), "the cut one step later is waited for"
    assert found[1, 0] == (1.5, 0.25, True, (3, 0))
    assert not found[1, 1][2]


@settings(max_examples=60, deadline=None)
@given(
    ends=st.lists(st.sampled_from("....tc"), min_size=1, max_size=25),
    steps=st.integers(1, 12), worlds=st.integers(1, 3), n_step=st.integers(1, 5),
)  # fmt: skip
def test_it_is_what_following_the_episode_gives(ends: list[str], steps: int, worlds: int, n_step: int):
    found = drawn(filled(ends, worlds, steps), n_step)
    first = max(0, len(ends) - steps)
    assert {step for step, _ in found} <= set(range(first, len(ends))), "older ones were overwritten"
    for (step, world), (reward, discount, known, there) in found.items():
        total, at, worth = 0.0, step, 1.0
        while at < min(step + n_step, len(ends)) and ends[at] != "c":
            total, worth, at = total + worth * (at + 1 + 100 * world), worth * GAMMA, at + 1
            if ends[at - 1] == "t":
                worth = 0.0
                break
        assert (known, there) == (at > step, (at, world))
        assert (reward, discount) == pytest.approx((total, worth))


def test_all_that_is_remembered_is_drawn():
    replay = filled(["."] * 30, worlds=2, steps=8)
    assert len(replay) == 16
    assert set(drawn(replay, 1)) == {(step, world) for step in range(22, 30) for world in range(2)}


@pytest.mark.parametrize("taken", [3, 30])
def test_what_is_taken_back_is_the_same(taken: int):
    replay, other = filled(["."] * taken, 2, 8), buffer(2, 8)
    other.load_state_dict({name: value.clone() for name, value in replay.state_dict().items()})
    assert drawn(replay, 3) == drawn(other, 3)
    for each in (replay, other):
        neither = torch.zeros(2, dtype=torch.bool)
        each.add(torch.full((2, 2), float(taken)), torch.zeros(2), neither, neither, seen(taken + 1, 2))
    assert drawn(replay, 3) == drawn(other, 3)
    assert torch.equal(other.newest()["actor"], seen(taken + 1, 2)["actor"])


def test_a_small_replay_is_a_small_file():
    assert len(filled(["."] * 3, 2, 1000).state_dict()["reward"]) == 4


def test_worlds_that_were_lost_are_cut():
    replay = filled(list(".t."))
    replay.cut(seen(50, 1))
    found = drawn(replay, 3)
    assert found[1, 0] == (2.0, 0.0, True, (2, 0))
    assert not found[2, 0][2]
    assert replay.newest()["actor"].tolist() == [[50.0, 0.0]]


def _command(maximum: float) -> SimpleNamespace:
    spec = CommandSpec(
        name="speed", unit="rad/s", frame="base", order=("a",), minimum=(-1.0,), maximum=(maximum,), max_rate=(9.0,),
        safe=(0.0,), standby=(0.0,),
    )  # fmt: skip
    return SimpleNamespace(commands=(spec,))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"name": "wave"}, "task: 'wave', here 'signs'"),
        ({"config": SignsConfig(scale=2.0)}, "config.scale: 2.0, here 1.0"),
        ({"robot": _command(3.0)}, r"commands.speed.maximum: \[3.0\], here \[2.0\]"),
    ],
)
def test_the_replay_of_another_task_or_action_scale_is_refused(other: dict, told: str):
    class Here(Signs):
        robot = _command(2.0)

    theirs = buffer(2, 8, type("There", (Here,), other))
    with pytest.raises(ValueError, match=f"replay buffer is another one's: {told}; begin another run"):
        buffer(2, 8, Here).load_state_dict(theirs.state_dict())


def test_a_replay_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match=r"reward: \(4, 3\) torch.float32, here \(4, 2\) torch.float32"):
        buffer(2, 8).load_state_dict(filled(["."] * 3, worlds=3).state_dict())
    state = filled(["."] * 3, worlds=2).state_dict()
    del state["observations.image"]
    with pytest.raises(ValueError, match=r"observations.image: nothing, here \(4, 2, 1, 1, 3\) torch.uint8"):
        buffer(2, 8).load_state_dict(state)


def test_its_memory_is_known_beforehand():
    replay = buffer(2, 8)
    held = sum(value.numel() * value.element_size() for value in replay._kept.values())
    assert held == 2 * 9 * transition_bytes(GROUPS, 2)
