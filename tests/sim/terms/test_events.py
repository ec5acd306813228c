"""Pushes and forces: when, for how long, how strong, in which direction, and what they do to a body."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import pytest
import torch

from isthmus_sim.engine import Resets
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.rendering.offscreen import available_backend
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, MASS, ROBOT
from isthmus_sim.scene import legged_scene
from isthmus_sim.tasks import make_task
from isthmus_sim.terms.events import ConstantWrench, Push


class Pushed:
    """What events do to an engine of n worlds."""

    def __init__(self, n: int) -> None:
        self.force, self.torque = torch.zeros(n, 3), torch.zeros(n, 3)
        self.params = {"mass": torch.full((n, 1), 2.0)}

    def apply_wrench(self, force: torch.Tensor, torque: torch.Tensor) -> None:
        self.force, self.torque = force, torque


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pushes_come_in_time_last_their_time_and_are_of_any_direction():
    n, pushed, forces = 5000, [], []
    push, engine = Push(every=50, length=5, impulse=7.5, period_s=0.02), Pushed(n)
    for t in range(160):
        push.step(_as_engine(engine), torch.full((n,), t), random(t))
        pushed.append(bool((engine.force != 0).any()))
        forces.append(engine.force.clone())
    assert [t for t, acts in enumerate(pushed) if acts] == [*range(50, 55), *range(100, 105), *range(150, 155)]
    assert torch.equal(forces[50], forces[54])
    assert not torch.equal(forces[50], forces[100])
    first = forces[50]
    assert (first[:, 2] == 0).all()
    assert float(first.norm(dim=-1).max()) == pytest.approx(75.0, rel=0.01), "7.5 N·s in 0.1 s"
    angle = torch.atan2(first[:, 1], first[:, 0])
    assert float(torch.stack((angle.cos(), angle.sin())).mean(1).abs().max()) < 0.05
    assert (engine.torque == 0).all()


def test_worlds_are_pushed_by_their_own_age():
    engine = Pushed(3)
    Push(every=50, length=5, impulse=1.0, period_s=0.02).step(_as_engine(engine), torch.tensor([0, 50, 77]), random())
    assert (engine.force != 0).any(-1).tolist() == [False, True, False]


@pytest.mark.parametrize(("every", "length"), [(50, 0), (5, 5), (5, 6)])
def test_a_push_that_is_none_or_never_ends_is_refused(every: int, length: int):
    with pytest.raises(ValueError, match="at least, and be shorter"):
        Push(every=every, length=length, impulse=1.0, period_s=0.02)


def test_a_push_changes_the_momentum_by_its_force_times_its_time():
    """The motion of a quadruped high up, where nothing else acts but gravity."""
    n, generator = 4, random()
    engine = make_engine(legged_scene(ROBOT), n, "mujoco")
    push = Push(every=10, length=5, impulse=MASS * 0.7, period_s=0.02)
    pose, force = torch.tensor(DEFAULT_POSE).repeat(n, 1), torch.zeros(n, 3)
    start = {"position": torch.tensor([0.0, 0.0, 50.0]).repeat(n, 1), "joint_position": pose, "actuator": pose}
    engine.advance(None, Resets(ids=torch.arange(n), state=start))
    for t in range(10, 18):
        push.step(engine, torch.full((n,), t), generator)
        force = torch.where(engine.force != 0, engine.force, force)
        engine.advance({"joint_position_target": pose})
    gained = torch.stack([_momentum(engine, world) for world in range(n)])
    torch.testing.assert_close(gained[:, :2], (force * 0.1)[:, :2], rtol=1e-3, atol=1e-3)
    assert 0.05 < float(gained[:, :2].norm(dim=-1).max()) <= MASS * 0.7


def _momentum(engine: Any, world: int) -> torch.Tensor:
    """(3,) kg·m/s of the whole robot."""
    data = engine.batch.get_data(world)
    mujoco.mj_forward(engine.model, data)
    mujoco.mj_subtreeVel(engine.model, data)
    return MASS * torch.from_numpy(data.subtree_linvel[engine.model.body("base").id].copy()).float()


@pytest.mark.skipif(available_backend() is None, reason="needs off-screen OpenGL")
def test_looks_are_drawn_anew_at_every_step():
    """Two images of a scene at rest differ in training; the cube has not moved."""
    task = make_task("reach_cube")
    env = Env(task, make_engine(task.scene, 2, "mujoco"), seed=0, training=True)
    try:
        env.reset()
        first, second = (env.step(torch.zeros(2, 5)) for _ in range(2))
    finally:
        env.close()
    change = (first.observations["image"].float() - second.observations["image"].float()).abs().mean(dim=(1, 2, 3))
    assert (change > 5).all(), "of 255"
    torch.testing.assert_close(first.observations["cube"], second.observations["cube"], rtol=0, atol=1e-4)


def test_a_constant_wrench_is_a_share_of_the_weight_of_the_drawn_mass():
    """Masses of 2 kg, as they are, in even worlds, and of 4 kg, just drawn, in odd ones: 1.962 and 3.924 N."""
    n = 20_000
    engine, wrench = Pushed(n), ConstantWrench(force=0.1, torque=0.01, mass=9.0)
    wrench.reset(_as_engine(engine), torch.arange(0, n, 2), {}, random(0))
    even = engine.force.clone()
    assert (even[1::2] == 0).all(), "worlds that go on keep what they have"
    wrench.reset(_as_engine(engine), torch.arange(1, n, 2), {"mass": torch.full((n // 2, 1), 4.0)}, random(1))
    assert torch.equal(engine.force[::2], even[::2])
    torch.testing.assert_close(engine.force[::2].std(0), torch.full((3,), 1.962), rtol=0.03, atol=0)
    torch.testing.assert_close(engine.force[1::2].std(0), torch.full((3,), 3.924), rtol=0.03, atol=0)
    torch.testing.assert_close(engine.torque[1::2].std(0), torch.full((3,), 0.3924), rtol=0.03, atol=0)


def test_a_constant_wrench_on_a_robot_of_one_mass():
    engine = Pushed(20_000)
    engine.params = {}
    ConstantWrench(force=0.1, torque=0.01, mass=2.0).reset(_as_engine(engine), torch.arange(20_000), {}, random())
    torch.testing.assert_close(engine.force.std(0), torch.full((3,), 1.962), rtol=0.03, atol=0)


def _as_engine(pushed: Pushed) -> Any:
    return pushed
