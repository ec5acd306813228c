"""Walking as told: left and right. The task's mirror images are held to those of physics, by the names of things."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import mujoco
import pytest
import torch
from torch import Tensor

from isthmus_sim.engine import Resets, State
from isthmus_sim.engines import make_engine
from isthmus_sim.robots.quadruped.description import JOINTS, LEGS, ROBOT
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.scenes.terrain import TerrainConfig
from isthmus_sim.task import Mirror, Transition
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import GaitConfig, VelocityConfig, VelocityReward, rough

Standing = Callable[..., State]
COMMAND = "joint_position_target"
ROUGH = replace(rough(), terrain=TerrainConfig(levels=3, tile=6.0, border=2.0))

# Without the task's tables: left and right legs change places, hips and what lies across turn round, what turns about z
# or x too.
OTHER = {leg: leg[0] + {"L": "R", "R": "L"}[leg[1]] for leg in LEGS}
LEG_INDEX = [LEGS.index(OTHER[leg]) for leg in LEGS]
JOINT_INDEX = [JOINTS.index(OTHER[name[:2]] + name[2:]) for name in JOINTS]
JOINT_SIGN = torch.tensor([-1.0 if "hip" in name else 1.0 for name in JOINTS])
VECTOR, SPIN = torch.tensor([1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, -1.0])
QUATERNION = torch.tensor([1.0, -1.0, 1.0, -1.0])


def joints(value: Tensor) -> Tensor:
    return value[..., JOINT_INDEX] * JOINT_SIGN


def same(value: Tensor) -> Tensor:
    return value


IMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "position": lambda value: value * VECTOR,
    "orientation": lambda value: value * QUATERNION,
    "linear_velocity": lambda value: value * VECTOR,
    "angular_velocity": lambda value: value * SPIN,
    "actuator": joints,
    "joint_position": joints,
    "joint_velocity": joints,
    "joint_torque": joints,
    "joint_power": lambda value: value[:, JOINT_INDEX],
    "foot_position": lambda value: value[:, LEG_INDEX] * VECTOR,
    "foot_velocity": lambda value: value[:, LEG_INDEX] * VECTOR,
    "foot_force": lambda value: value[:, LEG_INDEX],
    "imu_orientation": lambda value: value * QUATERNION,
    "linear_velocity_command": lambda value: value * VECTOR[:2],
    "yaw_rate_command": lambda value: -value,
    "course": lambda value: value * torch.tensor((1.0, -1.0, -1.0)),
    "phase": lambda value: torch.remainder(value + 0.5, 1.0),
    **{name: lambda value: value[:, JOINT_INDEX] for name in ("stiffness", "damping", "strength")},
    **dict.fromkeys(("command_delay_s", "friction", "payload"), same),
    "com_offset": lambda value: value * VECTOR,
    COMMAND: joints,
}
"""Quantity, signal or parameter -> its mirror image across the plane y = 0."""


def mirrored(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: IMAGES[name](value) for name, value in values.items()}


def with_mirrored(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Worlds 0 to n, and behind them their mirror images."""
    return {name: torch.cat((value, IMAGES[name](value))) for name, value in values.items()}


def image(rows: Tensor, mirror: Mirror) -> Tensor:
    return rows[:, list(mirror.index)] * torch.tensor(mirror.sign)


def mirrored_past(past: Tensor) -> Tensor:
    gyro, gravity, position, velocity, action = past.split((3, 3, 12, 12, 12), dim=-1)
    return torch.cat((gyro * SPIN, gravity * VECTOR, joints(position), joints(velocity), joints(action)), dim=-1)


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("config", [VelocityConfig(), ROUGH], ids=["flat", "rough"])
def test_mirroring_twice_changes_nothing(config: VelocityConfig):
    task = VelocityTracking(ROBOT, config)
    assert set(task.mirror) == {"action", *task.groups}
    for group, mirror in task.mirror.items():
        rows = torch.randn(3, task.groups[group].size if group in task.groups else task.action_size)
        assert sorted(mirror.index) == list(range(rows.shape[1]))
        assert torch.equal(image(image(rows, mirror), mirror), rows)
        assert not torch.equal(image(rows, mirror), rows)


def test_a_gait_that_is_not_its_own_mirror_image_has_none():
    """Front left with front right a quarter of a cycle later."""
    config = VelocityConfig(gait=GaitConfig(phases=(0.0, 0.25, 0.5, 0.75)))
    assert VelocityTracking(ROBOT, config).mirror == {}


def symmetric() -> VelocityTracking:
    """The published trunk is not quite symmetric: its products of inertia across are, for this, left out."""

    def model(looks: bool) -> mujoco.MjSpec:
        spec = mujoco.MjSpec.from_string(quadruped_mjcf())
        inertia = spec.body("base").fullinertia  # xx, yy, zz, xy, xz, yz
        inertia[3] = inertia[5] = 0.0
        spec.body("base").fullinertia = inertia
        return spec

    return VelocityTracking(replace(ROBOT, model=model), VelocityConfig(reward=VelocityReward(course=1.0)))


def near(found: Tensor, expected: Tensor, name: str) -> None:
    """Within a thousandth of the largest: contacts let rounding grow a little."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * max(1.0, float(expected.abs().max())), msg=name)


def test_the_mirror_image_of_a_state_has_the_mirror_image_of_its_future():
    """Worlds n to 2n are the mirror images of worlds 0 to n: state, parameters, push, memory, command and clock. So
    are, control step after control step, observations, commands, states and rewards, by the task's own tables."""
    task, n, generator = symmetric(), 16, random(3)
    engine, ids = make_engine(task.scene, 2 * n, "mujoco"), torch.arange(2 * n)
    drawn = task.reset(engine, torch.arange(n), torch.zeros(n, dtype=torch.long), generator)
    drawn.params["com_offset"] = 0.04 * torch.randn(n, 3, generator=generator)
    state = engine.advance(None, Resets(ids=ids, state=with_mirrored(drawn.state), params=with_mirrored(drawn.params)))
    force = 30.0 * torch.randn(n, 3, generator=generator)
    engine.apply_wrench(torch.cat((force, force * VECTOR)), torch.zeros(2 * n, 3))
    goal = task.goal(torch.zeros(n, dtype=torch.long), None, generator)
    goal = task.track(with_mirrored(goal | {"phase": torch.rand(n, 1, generator=generator)}), state)
    past = torch.randn(n, task.config.history, 42, generator=generator)
    memory = {"past": torch.cat((past, mirrored_past(past))), "phase": goal["phase"]}
    commands = {COMMAND: state["actuator"]}
    for action in 0.3 * torch.randn(8, n, 12, generator=random(1)):
        signals = task.sense(state, goal)
        for name, value in signals.items():
            torch.testing.assert_close(value[n:], IMAGES[name](value[:n]), rtol=0, atol=2e-3, msg=name)
        observed = task.observe(signals, memory) | task.privileged(state, goal, engine, None)
        for group, rows in observed.items():
            near(rows[n:], image(rows[:n], task.mirror[group]), group)
        both = torch.cat((action, image(action, task.mirror["action"])))
        previous, commands = commands, task.act(both, signals, memory)
        torch.testing.assert_close(commands[COMMAND][n:], joints(commands[COMMAND][:n]), rtol=0, atol=1e-5)
        memory = task.remember(memory, signals, both)
        state = engine.advance(commands)
        goal = task.track(goal | {"phase": memory["phase"]}, state)
        for name, value in state.items():
            near(value[n:], IMAGES[name](value[:n]), name)
        step = Transition(state=state, goal=goal, commands=commands, previous=previous, progress=1.0)
        for name, value in task.reward(step).items():
            torch.testing.assert_close(value[n:], value[:n], rtol=0, atol=5e-3, msg=name)
        assert torch.equal(task.terminated(state, goal)[n:], task.terminated(state, goal)[:n])
    assert float(state["foot_force"][:n].sum(-1).mean()) > 30, "they touch the ground"


# The ground around
# ---------------------------------------------------------------------------------------------------------------------
def test_the_ground_around_is_mirrored_as_the_world_is(standing: Standing):
    """On a slope across both axes, which the mirror turns round."""
    n, generator = 6, random(5)
    pair = [VelocityTracking(ROBOT, ROUGH) for _ in range(2)]
    assert pair[0].terrain is not None
    rows, columns = pair[0].terrain.heights.shape
    x, y = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    for task, side in zip(pair, (1.0, -1.0), strict=True):
        assert task.terrain is not None
        task.terrain.heights.copy_(1.5 * x + side * 2.0 * y)
    q = torch.randn(n, 4, generator=generator)
    state = standing(n) | {
        "position": torch.randn(n, 3, generator=generator),
        "foot_position": torch.randn(n, 4, 3, generator=generator),
        "orientation": q / q.norm(dim=-1, keepdim=True),
    }
    goal = pair[0].goal(torch.zeros(n, dtype=torch.long), None, generator)
    engine = make_engine(VelocityTracking(ROBOT, VelocityConfig()).scene, n, "mujoco")
    first = pair[0].privileged(state, goal, engine, None)["critic"]
    second = pair[1].privileged(mirrored(state), mirrored(goal), engine, None)["critic"]
    assert float(first[:, -77:].std()) > 0.1
    torch.testing.assert_close(second, image(first, pair[0].mirror["critic"]), rtol=0, atol=1e-4)


def test_the_ground_around_turns_with_the_robot(standing: Standing):
    """Uphill ahead of a robot that faces x, and of one that faces y: the critic is told the same; higher ahead."""
    task = VelocityTracking(ROBOT, ROUGH)
    engine = make_engine(VelocityTracking(ROBOT, VelocityConfig()).scene, 1, "mujoco")
    assert task.terrain is not None
    rows, columns = task.terrain.heights.shape
    x, y = torch.meshgrid(
        0.1 * (torch.arange(rows) - rows // 2), 0.1 * (torch.arange(columns) - columns // 2), indexing="ij"
    )
    scans = []
    for slope, half in ((0.5 * x, 0.0), (0.5 * y, math.pi / 4), (-0.5 * x, math.pi / 2)):
        task.terrain.heights.copy_(slope)
        state = standing(1) | {"orientation": torch.tensor([[math.cos(half), 0.0, 0.0, math.sin(half)]])}
        goal = task.goal(torch.zeros(1), None, random(0))
        scans.append(task.privileged(state, goal, engine, None)["critic"][0, -77:])
    torch.testing.assert_close(scans[1], scans[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(scans[2], scans[0], rtol=0, atol=1e-5)
    assert float(scans[0].max()) > 0.2 > -0.1 > float(scans[0].min())
    assert float(scans[0].mean()) > 0, "it looks further ahead than back"
