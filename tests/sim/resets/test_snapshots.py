"""Episodes that begin in snapshots go on as those did that the snapshots were taken of."""

from __future__ import annotations

import pytest
import torch
from beads import Bead, Line, beads, near, pushed

from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.resets.archive import Archive
from isthmus_sim.resets.snapshots import take
from isthmus_sim.resets.stored import Stored
from isthmus_sim.tasks import make_task


@pytest.mark.parametrize(("task", "engine"), [("quadrotor", "analytic"), ("quadrotor", "mujoco"), ("push_t", "mujoco")])
def test_a_world_goes_on_as_the_one_did_whose_snapshot_it_begins_in(task: str, engine: str):
    """Bodies, parameters, wrench, memory, goal and clock; the others do not notice."""
    made = make_task(task)
    env = Env(made, make_engine(made.scene, 4, engine), seed=3)
    env.reset()
    actions = 0.3 * torch.randn(12, 4, made.action_size, generator=torch.Generator().manual_seed(1))
    for action in actions[:4]:
        env.step(action)
    snapshot = take(env, torch.tensor([1, 2]))
    params = {name: value[[1, 2]].clone() for name, value in env.engine.params.items()}
    then = [env.step(action) for action in actions[4:]]
    assert not any(len(step.ended) for step in then), "a test of steps within an episode"

    again = Env(made, make_engine(made.scene, 2, engine), seed=8, starts=Stored(snapshot, share=1.0))
    again.starts.snapshots = lambda n, generator: (torch.arange(2), snapshot)  # pyright: ignore
    again.reset()
    assert again.episode_step.tolist() == [4, 4]
    for name, value in params.items():
        assert torch.equal(again.engine.params[name], value), name
    for action, step in zip(actions[4:], then, strict=True):
        torch.testing.assert_close(again.step(action[1:3]).reward, step.reward[1:3], rtol=1e-4, atol=1e-5)
    for name in ("memory", "goal", "state"):
        for key, value in getattr(again, name).items():
            torch.testing.assert_close(value, getattr(env, name)[key][[1, 2]], rtol=1e-3, atol=1e-4)


def test_other_worlds_do_not_notice_that_one_begins_in_a_snapshot():
    env, without = (Env(Bead(), Line(2), seed=0) for _ in range(2))
    env.reset()
    without.reset()
    pushed(env, 0.4, 0.5)
    env.starts = Stored(take(env, torch.tensor([1])), share=1.0)
    pushed(without, 0.4, 0.5)
    step, beside = pushed(env, -3.0, 0.5), pushed(without, -3.0, 0.5)
    for _ in range(2):
        step, beside = pushed(env, -3.0, 0.1), pushed(without, -3.0, 0.1)
    assert step.ended.tolist() == beside.ended.tolist() == [0]
    near(env.signals["place"], [[0.5], [1.2]])
    near(without.signals["place"], [[0.0], [1.2]])


def test_an_episode_that_begins_late_has_its_whole_length_and_its_own_clock():
    """The bead's target is where the clock says; memory counts on."""
    env = beads(1)
    for _ in range(6):
        pushed(env, 0.1)
    env.starts = Stored(take(env, torch.tensor([0])), share=1.0)
    env.reset()
    assert env.elsewhere.tolist() == [True]
    near(env.signals["target"], [[0.6]])
    near(env.memory["steps"], [[13.0]])
    steps = [pushed(env, 0.0) for _ in range(10)]
    assert [len(step.ended) for step in steps] == [0] * 9 + [1]
    assert steps[-1].episode_length.tolist() == [10]
    assert bool(steps[-1].truncated[0])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_the_episodes_begins_in_snapshots_and_fades(share: float):
    first = beads(2)
    pushed(first, 0.5, 0.7)
    stored = Stored(take(first, torch.arange(2)), share, fades_after=8000)
    env = beads(4000, starts=stored)
    assert int(env.elsewhere.sum()) == pytest.approx(4000 * share, abs=110)  # four deviations
    for place in (0.5, 0.7) if share else ():
        assert int((env.signals["place"] == place).sum()) == pytest.approx(2000 * share, abs=160)
    env.step(torch.zeros(4000, 1))
    assert stored.share == pytest.approx(share / 2)
    env.step(torch.zeros(4000, 1))
    assert stored.share == 0.0


def test_an_engine_without_snapshots_is_refused_by_name():
    stored = Stored(take(beads(1), torch.tensor([0])), 0.5)
    with pytest.raises(UnsupportedError, match="the engine Line has no snapshots"):
        Env(Bead(), Line(2, snapshots=False), 0, starts=stored)


def test_snapshots_that_have_changed_are_refused():
    env = beads(2)
    stored = Stored(take(env, torch.arange(2)), 0.5)
    pushed(env, 0.1, 0.1)
    other = Stored(take(env, torch.arange(2)), 0.5)
    other.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="have changed since the run was begun"):
        other.load_state_dict(stored.state_dict())


def test_an_archive_keeps_the_shortest_way_to_each_cell_and_counts_visits():
    archive = Archive({"x": 1.0}, share=0.0)
    env = beads(2, starts=archive)
    pushed(env, 0.6, 0.2)  # cell 0 twice
    pushed(env, 0.6, 0.1)  # cells 1 and 0
    pushed(env, 0.1, 0.9)  # cells 1 twice
    assert len(archive) == 2
    assert archive._visits[:2].tolist() == [3.0, 3.0]
    assert archive._kept["episode_step"][:2].tolist() == [1, 2]
    near(archive._kept["engine.x"][:2], [[0.6], [1.2]])


def test_seldom_visited_cells_are_returned_to_more_often():
    archive = Archive({"x": 1.0}, share=1.0)
    env = beads(1, starts=archive)
    for push in (0.1, 0.1, 0.1, 1.0):
        pushed(env, push)
    _, chosen = archive.snapshots(9000, torch.Generator().manual_seed(0)) or (None, {})
    seldom = 0.5**0.5 / (0.5**0.5 + 0.25**0.5)  # visited once and three times
    assert float((chosen["episode_step"] == 4).float().mean()) == pytest.approx(seldom, abs=0.02)


@pytest.mark.parametrize("strategy", ["archive", "stored"])
def test_a_saved_environment_goes_on_bit_for_bit(strategy: str):
    def made(seed: int) -> Env:
        stored = Stored(take(beads(3), torch.arange(3)), 0.5, fades_after=300)
        return Env(Bead(), Line(8), seed, starts=Archive({"x": 0.3}, 0.5) if strategy == "archive" else stored)

    first, second = made(0), made(9)
    rows = 2 * torch.rand(60, 8, 1, generator=torch.Generator().manual_seed(1)) - 0.8
    first.reset()
    second.reset()
    for row in rows[:25]:
        first.step(row)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    for row in rows[25:]:
        ours, theirs = first.step(row), second.step(row)
        assert torch.equal(ours.reward, theirs.reward)
        assert torch.equal(ours.observations["actor"], theirs.observations["actor"])
        assert torch.equal(first.elsewhere, second.elsewhere)
