"""The quadruped's task: what is asked, drawn, pushed and mirrored is as documented, and right by physics.

Weights and ranges of the configuration are for tuning: no test here depends on their values.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, cast

import mujoco
import pytest
import torch
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.signals import SensorModel
from isthmus_sim.tasks.quadruped import Quadruped, QuadrupedConfig, QuadrupedReward, rough

from isthmus_sim.engine import ArticulatedState, Engine
from isthmus_sim.env import Env
from isthmus_sim.robots.quadruped.description import JOINTS, LEGS, MASS, SPEC, STAND_HEIGHT
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.rotations import tilt
from isthmus_sim.task import Mirror, Transition
from isthmus_sim.terrain import KINDS, TerrainConfig

MakeLegged = Callable[..., MujocoLegged]
Standing = Callable[..., ArticulatedState]
SMALL = TerrainConfig(levels=3, tile=6.0, border=2.0)
CALM = QuadrupedConfig(push_s=0.0, sensors={})


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def actions(steps: int, n: int, size: float = 0.3, seed: int = 1) -> torch.Tensor:
    return size * torch.randn(steps, n, 12, generator=random(seed))


def tasks() -> list[Any]:
    flat, ground = QuadrupedConfig(), replace(rough(), terrain=SMALL)
    return [pytest.param(config, id=name) for config, name in ((flat, "flat"), (ground, "rough"))]


# Start
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("config", tasks())
def test_sizes_are_the_declared_ones(make_legged: MakeLegged, config: QuadrupedConfig):
    task = Quadruped(config)
    env = Env(task, make_legged(6, terrain=task.terrain), seed=0)
    assert {name: value.shape[1] for name, value in env.reset().items()} == {
        name: group.size for name, group in task.groups.items()
    }
    for row in actions(3, 6):
        step = env.step(row)
        assert {name: value.shape[1] for name, value in step.observations.items()} == {
            name: group.size for name, group in task.groups.items()
        }
        assert all(torch.isfinite(value).all() for value in step.observations.values())
        assert tuple(step.episode_terms) == task.reward_terms
    assert {name: value.shape for name, value in env.signals.items()} == {s.name: (6, s.size) for s in SPEC.signals}
    assert {name: value.shape[1:] for name, value in env.memory.items()} == {m.name: m.shape for m in task.memory}


@pytest.mark.parametrize("config", tasks())
def test_episodes_start_standing_and_drawn_within_their_ranges(make_legged: MakeLegged, config: QuadrupedConfig):
    task, n = Quadruped(config), 60
    env = Env(task, make_legged(n, terrain=task.terrain), seed=0)
    env.level[:] = torch.arange(n) % task.levels
    env.reset()
    state, params = env.engine.read(), env.engine.params
    assert float(tilt(state.orientation).max()) < 1e-3
    assert not task.terminated(state, env.goal).any()
    ground = task.terrain.height(state.position[:, :2]) if task.terrain else 0.0
    torch.testing.assert_close(state.position[:, 2] - ground, torch.full((n,), STAND_HEIGHT), rtol=0, atol=1e-4)
    for name, bounds in (("friction", config.friction), ("payload", config.payload), ("strength", config.strength)):
        low, high = bounds
        assert low <= float(params[name].min()) < float(params[name].max()) <= high
        assert float(params[name].max() - params[name].min()) > 0.7 * (high - low)
    stiffness = params["stiffness"] / torch.tensor([joint.stiffness for joint in SPEC.joints.values()])
    assert config.gains[0] <= float(stiffness.min()) < float(stiffness.max()) <= config.gains[1]
    assert float(params["command_delay"].max()) <= config.actuation_delay[1]
    assert float(params["com_offset"].abs().max()) <= config.com_offset
    heading = 2 * torch.atan2(state.orientation[:, 3], state.orientation[:, 0])
    assert float(heading.cos().min()) < -0.9
    assert float(heading.cos().max()) > 0.9


@pytest.mark.parametrize("config", tasks())
def test_the_critic_sees_the_truth_from_the_first_instant(make_legged: MakeLegged, config: QuadrupedConfig):
    """Where the feet are, too, which only the engine works out from a start state."""
    task = Quadruped(replace(config, episode_steps=10))
    env = Env(task, make_legged(6, terrain=task.terrain), seed=0, spread=True)
    seen = env.reset()["critic"]
    for row in actions(15, 6):
        torch.testing.assert_close(seen, task.privileged(env.engine.read(), env.goal, env.engine, None)["critic"])
        seen = env.step(row).observations["critic"]


def test_worlds_start_on_the_tile_of_their_level_and_kind(make_legged: MakeLegged):
    task, n = Quadruped(replace(rough(), terrain=SMALL)), 30
    assert task.terrain is not None
    env = Env(task, make_legged(n, terrain=task.terrain), seed=0)
    env.level[:] = torch.arange(n) // 5 % 3
    env.reset()
    origin = task.terrain.origin(torch.arange(n) // 5 % 3, torch.arange(n) % len(KINDS))
    assert float((env.engine.read().position - origin)[:, :2].abs().max()) < 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forward": (1.0, -1.0)}, r"forward: \(1\.0, -1\.0\) is not a range; it must rise and lie within \[-3\.8"),
        ({"forward": (0.0, 9.0)}, r"forward: \(0\.0, 9\.0\) is not a range"),
        ({"sideways": (-2.0, 0.0)}, r"sideways: .* within \[-1\.0, 1\.0\]"),
        ({"turning": (-5.0, 5.0)}, r"turning: .* within \[-4\.0, 4\.0\]"),
        ({"history": 0}, "history must be at least 1 control step"),
        ({"command_s": 0.0}, "command_s must be at least a control period"),
        ({"push_s": 0.1, "push_length_s": 0.1}, "it must be shorter than that"),
        ({"friction": (0.0, 1.0)}, r"friction: \(0\.0, 1\.0\) is not a range; .* within \[0\.01, 5\.0\]"),
        ({"payload": (-7.0, 0.0)}, "payload"),
        ({"strength": (0.0, 1.0)}, "strength"),
        ({"gains": (1.1, 0.9)}, "gains"),
        ({"actuation_delay": (0.0, 0.03)}, r"actuation_delay: .* within \[0\.0, 0\.02\]"),
        ({"forward": (math.nan, 1.0)}, "forward"),
    ],
)
def test_an_impossible_range_is_refused(changes: dict[str, tuple[float, float]], message: str):
    with pytest.raises(ValueError, match=message):
        QuadrupedConfig(**changes)  # pyright: ignore[reportArgumentType]


# What is asked
# ---------------------------------------------------------------------------------------------------------------------
def test_a_command_holds_for_its_time():
    task, generator, n = Quadruped(QuadrupedConfig(command_s=0.5)), random(), 50
    goal = task.goal(torch.zeros(n, dtype=torch.long), None, generator)
    age = torch.arange(n) % 25  # worlds of different ages
    for _ in range(60):
        age += 1
        following = task.goal(age, goal, generator)
        same = (following["linear_velocity_command"] == goal["linear_velocity_command"]).all(-1)
        same &= (following["yaw_rate_command"] == goal["yaw_rate_command"]).all(-1)
        due = age % 25 == 0
        assert same[~due].all()
        assert float(same[due].float().mean()) < 0.5, "standing may follow standing"
        goal = following


def test_commands_fill_their_ranges_and_some_are_to_stand():
    config = QuadrupedConfig(standing_share=0.3)
    goal = Quadruped(config).goal(torch.zeros(20_000, dtype=torch.long), None, random())
    command = torch.cat((goal["linear_velocity_command"], goal["yaw_rate_command"]), dim=-1)
    stands = (command == 0).all(-1)
    assert float(stands.float().mean()) == pytest.approx(0.3, abs=0.02)
    low, high = torch.tensor((config.forward, config.sideways, config.turning)).T
    walks = command[~stands]
    assert ((walks >= low) & (walks <= high)).all()
    torch.testing.assert_close(walks.amin(0), low, rtol=0, atol=0.01)
    torch.testing.assert_close(walks.amax(0), high, rtol=0, atol=0.01)
    torch.testing.assert_close(walks.mean(0), (low + high) / 2, rtol=0, atol=0.03)


@pytest.mark.parametrize("spread", [False, True])
def test_the_policys_clock_is_the_tasks(make_legged: MakeLegged, spread: bool):
    """The one in memory, which the robot has, and the one in the goal, which rewards go by: after any steps and
    resets. It advances by the gait's frequency."""
    config = QuadrupedConfig(episode_steps=37, gait_hz=2.3)
    env = Env(Quadruped(config), make_legged(8), seed=0, spread=spread)
    env.reset()
    ends = 0
    for row in actions(100, 8, size=1.0):
        before = env.memory["phase"].clone()
        step = env.step(row)
        ends += len(step.ended)
        assert torch.equal(env.memory["phase"], env.goal["phase"])
        assert (env.memory["phase"][step.ended] == 0).all()
        on = torch.ones(8, dtype=torch.bool)
        on[step.ended] = False
        advanced = torch.remainder(env.memory["phase"] - before, 1.0)[on]
        torch.testing.assert_close(advanced, torch.full_like(advanced, 2.3 * 0.02), rtol=0, atol=1e-5)
    assert ends >= 16


def test_an_action_is_a_target_within_the_joints_limits():
    task = Quadruped()
    signals = {name: torch.zeros(5, size) for name, size in (("linear_velocity_command", 2), ("yaw_rate_command", 1))}
    memory = {"phase": torch.rand(5, 1)}
    default = torch.tensor([joint.default_position for joint in SPEC.joints.values()])
    still = task.act(torch.zeros(5, 12), signals, memory)["joint_position_target"]
    torch.testing.assert_close(still, default.repeat(5, 1))  # told to stand it stands, whatever the clock says
    for action in (torch.full((5, 12), -100.0), torch.full((5, 12), 100.0)):
        target = task.act(action, signals, memory)["joint_position_target"]
        limits = [j.position_max if action[0, 0] > 0 else j.position_min for j in SPEC.joints.values()]
        torch.testing.assert_close(target, torch.tensor(limits).repeat(5, 1))


# Pushes
# ---------------------------------------------------------------------------------------------------------------------
class Pushed:
    """What `disturb` does to an engine of n worlds."""

    def __init__(self, n: int) -> None:
        self.force, self.torque = torch.zeros(n, 3), torch.zeros(n, 3)

    def apply_wrench(self, force: torch.Tensor, torque: torch.Tensor) -> None:
        self.force, self.torque = force, torque


def test_pushes_come_in_time_last_their_time_and_are_of_any_direction():
    task, engine, n = Quadruped(QuadrupedConfig(push_s=1.0, push_length_s=0.1, push_speed=0.5)), Pushed(5000), 5000
    pushed, forces = [], []
    for t in range(160):
        task.disturb(cast(Engine, engine), torch.full((n,), t), random(t))
        pushed.append(bool((engine.force != 0).any()))
        forces.append(engine.force.clone())
    assert [t for t, acts in enumerate(pushed) if acts] == [*range(50, 55), *range(100, 105), *range(150, 155)]
    assert torch.equal(forces[50], forces[54])
    assert not torch.equal(forces[50], forces[100])
    push = forces[50]
    assert (push[:, 2] == 0).all()
    assert float(push.norm(dim=-1).max()) == pytest.approx(MASS * 0.5 / 0.1, rel=0.01)
    angle = torch.atan2(push[:, 1], push[:, 0])
    assert float(torch.stack((angle.cos(), angle.sin())).mean(1).abs().max()) < 0.05
    assert (engine.torque == 0).all()


def test_worlds_are_pushed_by_their_own_age():
    task, engine = Quadruped(QuadrupedConfig(push_s=1.0)), Pushed(3)
    task.disturb(cast(Engine, engine), torch.tensor([0, 50, 77]), random())
    assert (engine.force != 0).any(-1).tolist() == [False, True, False]


def test_without_pushes_nothing_disturbs():
    engine = Pushed(2)
    Quadruped(CALM).disturb(cast(Engine, engine), torch.tensor([50, 200]), random())
    assert (engine.force == 0).all()


def momentum(engine: MujocoLegged, world: int) -> torch.Tensor:
    """(3,) kg·m/s of the whole robot."""
    data = engine.batch.get_data(world)
    mujoco.mj_forward(engine.model, data)
    mujoco.mj_subtreeVel(engine.model, data)
    return MASS * torch.from_numpy(data.subtree_linvel[engine.model.body("base").id].copy()).float()


def test_a_push_changes_the_momentum_by_its_force_times_its_time(make_legged: MakeLegged, standing: Standing):
    """High up, where nothing else does but gravity; and it is no more than `push_speed` for the robot's mass."""
    config = QuadrupedConfig(push_s=0.2, push_length_s=0.1, push_speed=0.7)
    task, engine, generator, n = Quadruped(config), make_legged(4), random(), 4
    start = standing(n, 50.0)
    engine.reset(torch.arange(n), start)
    force = torch.zeros(n, 3)
    for t in range(10, 18):
        task.disturb(engine, torch.full((n,), t), generator)
        force = torch.where(engine.force != 0, engine.force, force)
        engine.step(start.actuator)
    gained = torch.stack([momentum(engine, world) for world in range(n)])
    torch.testing.assert_close(gained[:, :2], (force * 0.1)[:, :2], rtol=1e-3, atol=1e-3)
    assert 0.05 < float(gained[:, :2].norm(dim=-1).max()) <= MASS * 0.7


def test_a_push_ends_with_its_episode(make_legged: MakeLegged):
    env = Env(Quadruped(QuadrupedConfig(push_s=0.4, push_length_s=0.1, episode_steps=22)), make_legged(3), seed=0)
    env.reset()
    for _ in range(21):
        env.step(torch.zeros(3, 12))
    assert (env.engine.force != 0).any(-1).all()
    assert env.step(torch.zeros(3, 12)).ended.tolist() == [0, 1, 2]
    assert (env.engine.force == 0).all()
    env.step(torch.zeros(3, 12))
    assert (env.engine.force == 0).all()


# Failure and levels
# ---------------------------------------------------------------------------------------------------------------------
def state_at(standing: Standing, n: int, **changes: torch.Tensor) -> ArticulatedState:
    return replace(standing(n), **changes)


def test_an_episode_ends_when_the_robot_lies_or_leans_or_is_nowhere(standing: Standing):
    task = Quadruped(QuadrupedConfig(height_limit=0.15, tilt_limit=math.radians(45)))
    state = standing(5)
    state.position[1, 2] = 0.14
    for world, angle in ((2, 44), (3, 46)):
        half = math.radians(angle) / 2
        state.orientation[world] = torch.tensor([math.cos(half), math.sin(half), 0.0, 0.0])
    state.position[4, 0] = state.position[4, 2] = math.nan
    assert task.terminated(state, {}).tolist() == [False, True, False, True, True]


def test_a_world_that_is_nowhere_ends_on_rough_ground_too(standing: Standing):
    task, state = Quadruped(replace(rough(), terrain=SMALL)), standing(2, 5.0)
    state.position[1] = math.nan
    assert task.terminated(state, {}).tolist() == [False, True]


def test_levels_rise_with_the_way_walked_and_fall_with_the_robot(standing: Standing):
    """A third of the way to the next tile and standing is neither."""
    task = Quadruped(replace(rough(), terrain=SMALL))
    assert task.terrain is not None
    ids, level = torch.tensor([0, 1, 2, 3, 4, 5, 6]), torch.tensor([1, 1, 1, 1, 2, 0, 1])
    origin = task.terrain.origin(level, ids % len(KINDS))
    state = standing(7)
    away = torch.tensor([2.9, 0.1, 0.1, 2.9, 2.9, 0.1, 1.8])
    state.position = origin + torch.stack((away, torch.zeros(7), torch.zeros(7)), dim=-1)
    state.position[:, 2] = task.terrain.height(state.position[:, :2]) + STAND_HEIGHT
    state.position[3, 2] -= 1.0  # far, but fallen
    command = torch.tensor([[1.0, 0.0]]).repeat(7, 1)
    command[2] = 0.0  # near, as told
    goal = {"linear_velocity_command": command}
    found = task.regrade(level, state, goal, cast(Engine, None), ids)
    assert found.tolist() == [2, 0, 1, 0, 2, 0, 1]


def test_levels_of_a_run_move_one_at_a_time_and_stay_in_range(make_legged: MakeLegged):
    task = Quadruped(replace(rough(), terrain=SMALL, episode_steps=30))
    assert task.terrain is not None
    env = Env(task, make_legged(15, terrain=task.terrain), seed=0)
    env.level[:] = torch.arange(15) % 3
    env.reset()
    before, moved = env.level.clone(), 0
    for row in actions(120, 15, size=1.0):
        step = env.step(row)
        change = env.level - before
        assert (change.abs() <= 1).all()
        assert set(change.nonzero().flatten().tolist()) <= set(step.ended.tolist())
        if len(step.ended):
            origin = task.terrain.origin(env.level[step.ended], step.ended % len(KINDS))
            assert float((env.engine.read().position[step.ended] - origin)[:, :2].abs().max()) < 0.5
        moved += int((change != 0).sum())
        before = env.level.clone()
    assert moved > 10
    assert 0 <= int(env.level.min()) <= int(env.level.max()) < 3


# Symmetry
# ---------------------------------------------------------------------------------------------------------------------
# Mirror images by the names of things, without the task's tables: left and right legs change places, hips and what lies
# across turn round, what turns about z or x too.
OTHER = {leg: leg[0] + {"L": "R", "R": "L"}[leg[1]] for leg in LEGS}
LEG_INDEX = [LEGS.index(OTHER[leg]) for leg in LEGS]
JOINT_INDEX = [JOINTS.index(OTHER[name[:2]] + name[2:]) for name in JOINTS]
JOINT_SIGN = torch.tensor([-1.0 if "hip" in name else 1.0 for name in JOINTS])
VECTOR, SPIN = torch.tensor([1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, -1.0])
QUATERNION = torch.tensor([1.0, -1.0, 1.0, -1.0])


def joints(value: torch.Tensor) -> torch.Tensor:
    return value[:, JOINT_INDEX] * JOINT_SIGN


def mirrored(state: ArticulatedState) -> ArticulatedState:
    """Across the plane y = 0."""
    return ArticulatedState(
        position=state.position * VECTOR,
        orientation=state.orientation * QUATERNION,
        linear_velocity=state.linear_velocity * VECTOR,
        angular_velocity=state.angular_velocity * SPIN,
        actuator=joints(state.actuator),
        joint_position=joints(state.joint_position),
        joint_velocity=joints(state.joint_velocity),
        joint_torque=joints(state.joint_torque),
        joint_power=state.joint_power[:, JOINT_INDEX],
        foot_position=state.foot_position[:, LEG_INDEX] * VECTOR,
        foot_velocity=state.foot_velocity[:, LEG_INDEX] * VECTOR,
        foot_force=state.foot_force[:, LEG_INDEX],
    )


PARAMETERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    **{name: lambda value: value[:, JOINT_INDEX] for name in ("stiffness", "damping", "strength")},
    **{name: lambda value: value for name in ("command_delay", "friction", "payload")},
    "com_offset": lambda value: value * VECTOR,
}
SIGNALS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "joint_position": joints,
    "joint_velocity": joints,
    "angular_velocity": lambda value: value * SPIN,
    "imu_orientation": lambda value: value * QUATERNION,
    "linear_velocity_command": lambda value: value * VECTOR[:2],
    "yaw_rate_command": lambda value: -value,
    "phase": lambda value: torch.remainder(value + 0.5, 1.0),
}


def mirrored_signals(signals: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: SIGNALS[name](value) for name, value in signals.items()}


def image(value: torch.Tensor, mirror: Mirror) -> torch.Tensor:
    return value[:, list(mirror.index)] * torch.tensor(mirror.sign)


def mirrored_memory(task: Quadruped, memory: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    gyro, gravity, position, velocity, action = memory["past"].split((3, 3, 12, 12, 12), dim=-1)

    def each(value: torch.Tensor) -> torch.Tensor:
        return joints(value.flatten(0, 1)).unflatten(0, value.shape[:2])

    past = torch.cat((gyro * SPIN, gravity * VECTOR, each(position), each(velocity), each(action)), dim=-1)
    return {"past": past, "phase": SIGNALS["phase"](memory["phase"])}


@pytest.mark.parametrize("config", tasks())
def test_mirroring_twice_changes_nothing(config: QuadrupedConfig):
    task = Quadruped(config)
    assert set(task.mirror) == {"action", *task.groups}
    for group, mirror in task.mirror.items():
        rows = torch.randn(3, task.groups[group].size if group in task.groups else task.action_size)
        assert sorted(mirror.index) == list(range(rows.shape[1]))
        assert torch.equal(image(image(rows, mirror), mirror), rows)
        assert not torch.equal(image(rows, mirror), rows)


def symmetric_engine(make_legged: MakeLegged, n: int) -> MujocoLegged:
    """The published trunk is not quite symmetric: its products of inertia across are, for this, left out."""
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    inertia = model.body("base").fullinertia  # xx, yy, zz, xy, xz, yz
    inertia[3] = inertia[5] = 0.0
    model.body("base").fullinertia = inertia
    return make_legged(n, model)


def test_the_mirror_image_of_a_state_has_the_mirror_image_of_its_future(make_legged: MakeLegged, standing: Standing):
    """Worlds n to 2n are the mirror images of worlds 0 to n: state, parameters, push, memory, command and clock. So
    are, control step after control step, observations, commands, states and rewards, by the task's own tables."""
    task, n, generator = Quadruped(), 16, random(3)
    engine = symmetric_engine(make_legged, 2 * n)
    drawn = task.reset(make_legged(n), torch.arange(n), torch.zeros(n, dtype=torch.long), generator)
    assert isinstance(drawn, ArticulatedState)
    start = cat(drawn, mirrored(drawn))
    params = {
        name: value + 0.05 * value.abs().max() * torch.rand(value.shape, generator=generator)
        for name, value in make_legged(n).params.items()
    }
    params["com_offset"] = 0.04 * torch.randn(n, 3, generator=generator)
    engine.set_params(torch.arange(2 * n), **{k: torch.cat((v, PARAMETERS[k](v))) for k, v in params.items()})
    engine.reset(torch.arange(2 * n), start)
    force = 30.0 * torch.randn(n, 3, generator=generator)
    engine.apply_wrench(torch.cat((force, force * VECTOR)), torch.zeros(2 * n, 3))
    goal = task.goal(torch.zeros(n, dtype=torch.long), None, generator)
    goal["phase"] = torch.rand(n, 1, generator=generator)
    goal = {name: torch.cat((value, SIGNALS[name](value))) for name, value in goal.items()}
    past = torch.randn(n, task.config.history, 42, generator=generator)
    memory = mirrored_memory(task, {"past": past, "phase": goal["phase"][:n]})
    memory = {"past": torch.cat((past, memory["past"])), "phase": goal["phase"]}
    command = start.actuator
    for action in actions(8, n):
        state = engine.read()
        signals = task.sense(state, goal)
        for name, value in signals.items():
            torch.testing.assert_close(value[n:], SIGNALS[name](value[:n]), rtol=0, atol=2e-3, msg=name)
        close(task.observe(signals, memory)["actor"], task.mirror["actor"])
        close(task.privileged(state, goal, engine, None)["critic"], task.mirror["critic"])
        both = torch.cat((action, image(action, task.mirror["action"])))
        previous, command = command, task.act(both, signals, memory)["joint_position_target"]
        torch.testing.assert_close(command[n:], joints(command[:n]), rtol=0, atol=1e-5)
        memory = task.remember(memory, signals, both)
        goal = goal | {"phase": memory["phase"]}
        engine.step(command)
        state = engine.read()
        found, expected = state[torch.arange(n, 2 * n)], mirrored(state[torch.arange(n)])
        for field in fields(found):
            assert_near(getattr(found, field.name), getattr(expected, field.name), field.name)
        terms = task.reward(Transition(state=state, goal=goal, command=command, previous=previous, progress=1.0))
        assert list(terms) == list(task.reward_terms)
        for name, value in terms.items():
            torch.testing.assert_close(value[n:], value[:n], rtol=0, atol=5e-3, msg=name)
        assert torch.equal(task.terminated(state, goal)[n:], task.terminated(state, goal)[:n])
    assert float(state.foot_force[:n].sum(-1).mean()) > 30, "they touch the ground"


def cat(first: ArticulatedState, second: ArticulatedState) -> ArticulatedState:
    pairs = {f.name: torch.cat((getattr(first, f.name), getattr(second, f.name))) for f in fields(first)}
    return ArticulatedState(**pairs)


def assert_near(found: torch.Tensor, expected: torch.Tensor, name: str) -> None:
    """Within a thousandth of the largest: contacts let rounding grow a little."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * max(1.0, float(expected.abs().max())), msg=name)


def close(rows: torch.Tensor, mirror: Mirror) -> None:
    n = len(rows) // 2
    assert_near(rows[n:], image(rows[:n], mirror), "observation")


def test_the_ground_around_is_mirrored_as_the_world_is(make_legged: MakeLegged, standing: Standing):
    """On a slope across both axes, which the mirror turns round."""
    n, generator = 6, random(5)
    x, y = torch.meshgrid(torch.linspace(-1, 1, 221), torch.linspace(-1, 1, 341), indexing="ij")
    pair = [Quadruped(replace(rough(), terrain=SMALL)) for _ in range(2)]
    for task, side in zip(pair, (1.0, -1.0), strict=True):
        assert task.terrain is not None
        task.terrain.heights.copy_(1.5 * x + side * 2.0 * y)
    state = standing(n)
    state.position = torch.randn(n, 3, generator=generator)
    state.foot_position = torch.randn(n, 4, 3, generator=generator)
    q = torch.randn(n, 4, generator=generator)
    state.orientation = q / q.norm(dim=-1, keepdim=True)
    goal = pair[0].goal(torch.zeros(n, dtype=torch.long), None, generator)
    engine = make_legged(n)
    first = pair[0].privileged(state, goal, engine, None)["critic"]
    second = pair[1].privileged(mirrored(state), mirrored_signals(goal), engine, None)["critic"]
    expected = image(first, pair[0].mirror["critic"])
    assert float(first[:, -77:].std()) > 0.1
    torch.testing.assert_close(second, expected, rtol=0, atol=1e-4)


def test_the_ground_around_turns_with_the_robot(make_legged: MakeLegged, standing: Standing):
    """Uphill ahead of a robot that faces x, and of one that faces y: the critic is told the same; higher ahead."""
    task, engine = Quadruped(replace(rough(), terrain=SMALL)), make_legged(1)
    assert task.terrain is not None
    rows, columns = task.terrain.heights.shape
    x, y = torch.meshgrid(
        0.1 * (torch.arange(rows) - rows // 2), 0.1 * (torch.arange(columns) - columns // 2), indexing="ij"
    )
    scans = []
    for slope, half in ((0.5 * x, 0.0), (0.5 * y, math.pi / 4), (-0.5 * x, math.pi / 2)):
        task.terrain.heights.copy_(slope)
        state = standing(1)
        state.orientation = torch.tensor([[math.cos(half), 0.0, 0.0, math.sin(half)]])
        goal = task.goal(torch.zeros(1), None, random())
        scans.append(task.privileged(state, goal, engine, None)["critic"][0, -77:])
    torch.testing.assert_close(scans[1], scans[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(scans[2], scans[0], rtol=0, atol=1e-5)
    assert float(scans[0].max()) > 0.2 > -0.1 > float(scans[0].min())
    assert float(scans[0].mean()) > 0, "it looks further ahead than back"


# On the robot
# ---------------------------------------------------------------------------------------------------------------------
def test_what_runs_on_the_robot_takes_any_number_of_robots(make_legged: MakeLegged):
    """Each row by itself: what one robot computes alone is what it computes among others."""
    task = Quadruped()
    env = Env(task, make_legged(7), seed=0)
    env.reset()
    for row in actions(5, 7):
        env.step(row)
    signals, memory, action = env.signals, env.memory, actions(1, 7, seed=9)[0]
    together = (
        task.observe(signals, memory)["actor"],
        task.act(action, signals, memory)["joint_position_target"],
        *task.remember(memory, signals, action).values(),
    )
    for i in range(7):
        own = slice(i, i + 1)
        one, past = ({k: v[own] for k, v in rows.items()} for rows in (signals, memory))
        alone = (
            task.observe(one, past)["actor"],
            task.act(action[own], one, past)["joint_position_target"],
            *task.remember(past, one, action[own]).values(),
        )
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[own], b, rtol=1e-6, atol=1e-6)


def test_the_actor_cannot_tell_the_heading_nor_the_place(make_legged: MakeLegged, standing: Standing):
    """The IMU's heading is arbitrary, and a robot has no position."""
    task, state = Quadruped(), standing(2)
    half = 0.6
    state.orientation[1] = torch.tensor([math.cos(half), 0.0, 0.0, math.sin(half)])
    state.position[1] += torch.tensor([5.0, -3.0, 1.0])
    state.linear_velocity[1] = 2.0
    goal = {name: value[:1].repeat(2, 1) for name, value in task.goal(torch.zeros(1), None, random()).items()}
    memory = {m.name: torch.full((2, *m.shape), m.initial) for m in task.memory}
    seen = task.observe(task.sense(state, goal), memory)["actor"]
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=1e-6)


def test_memory_is_the_last_steps_oldest_first(make_legged: MakeLegged):
    task = Quadruped(CALM)
    env = Env(task, make_legged(2), seed=0)
    env.reset()
    frames = []
    for row in actions(5, 2):
        signals = env.signals
        env.step(row)
        position = signals["joint_position"] - torch.tensor([j.default_position for j in SPEC.joints.values()])
        frames.append(torch.cat((signals["angular_velocity"], position, row), dim=-1))
    past = env.memory["past"]
    held = torch.cat((past[..., :3], past[..., 6:18], past[..., 30:]), dim=-1)
    torch.testing.assert_close(held, torch.stack(frames[-task.config.history :], dim=1))


# Reward
# ---------------------------------------------------------------------------------------------------------------------
def reward_of(state: ArticulatedState, goal: dict[str, torch.Tensor], **weights: float) -> dict[str, torch.Tensor]:
    names = ("velocity", "turning", "gait", "clearance", "level", "height", "bounce", "slip", "effort", "power",
             "smoothness", "posture")  # fmt: skip
    task = Quadruped(QuadrupedConfig(reward=QuadrupedReward(**{**dict.fromkeys(names, 1.0), **weights})))
    zero = torch.zeros(len(state.position), 12)
    return task.reward(Transition(state=state, goal=goal, command=zero, previous=zero + 0.1, progress=1.0))


def test_the_rewards_terms_by_hand(standing: Standing):
    """World 0 does what is asked; world 1, facing world y, walks 0.3 m/s across it; all weights are 1."""
    state = standing(2, 0.25)
    half = math.sqrt(0.5)
    state.orientation[1] = torch.tensor([half, 0.0, 0.0, half])
    state.linear_velocity = torch.tensor([[0.5, 0.0, 0.2], [0.3, 0.5, 0.2]])
    state.angular_velocity = torch.tensor([[1.0, 2.0, 0.7], [1.0, 2.0, 0.2]])
    state.foot_force = torch.tensor([[50.0, 0.0, 0.0, 50.0], [50.0, 50.0, 50.0, 50.0]])
    state.foot_position = torch.tensor([0.0, 0.0, 0.02]).repeat(2, 4, 1)
    state.foot_velocity = torch.tensor([0.3, 0.4, 9.0]).repeat(2, 4, 1)
    state.joint_torque, state.joint_power = torch.full((2, 12), 2.0), torch.tensor([3.0, -5.0] * 6).repeat(2, 1)
    state.joint_position = state.joint_position + 0.1
    goal = {
        "linear_velocity_command": torch.tensor([[0.5, 0.0], [0.5, 0.0]]),
        "yaw_rate_command": torch.tensor([[0.7], [0.7]]),
        "phase": torch.tensor([[0.25], [0.25]]),  # front right and rear left at the top of their swing
    }
    found = reward_of(state, goal, swing_height=0.07, base_height=0.3)
    for name in ("velocity", "turning"):  # all of the weight for what is asked, less beside it
        assert float(found[name][0]) == pytest.approx(1.0)
        assert 0 < float(found[name][1]) < 0.9
    expected = {
        "gait": [1.0, 0.5],
        "clearance": [-2 * 0.05**2] * 2,
        "body": [-(0.05**2) - (0.2**2 + 0.1 * 5.0)] * 2,
        "slip": [-2 * 0.25, -4 * 0.25],
        "effort": [-12 * 4.0 - 18.0] * 2,
        "smoothness": [-12 * 0.01] * 2,
        "posture": [-(12 * 0.01 + 4 * 4 * 0.01)] * 2,
    }
    for name, values in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(values), rtol=1e-4, atol=1e-5, msg=name)


def test_told_to_stand_all_feet_should(standing: Standing):
    state = standing(2)
    state.foot_force = torch.tensor([[10.0, 10.0, 10.0, 10.0], [10.0, 0.0, 0.0, 10.0]])
    goal = {"linear_velocity_command": torch.zeros(2, 2), "yaw_rate_command": torch.zeros(2, 1)}
    found = reward_of(state, goal | {"phase": torch.full((2, 1), 0.25)})
    assert found["gait"].tolist() == [1.0, 0.5]
    assert found["clearance"].tolist() == [0.0, 0.0]


def test_metrics_are_errors_in_the_robots_own_frame(standing: Standing):
    state = standing(1)
    half = math.sqrt(0.5)
    state.orientation = torch.tensor([[half, 0.0, 0.0, half]])
    state.linear_velocity = torch.tensor([[0.0, 1.0, 0.3]])  # forward, as it faces world y
    state.angular_velocity = torch.tensor([[9.0, 9.0, -0.2]])
    state.joint_power = torch.tensor([[5.0, -3.0] * 6])
    goal = {"linear_velocity_command": torch.tensor([[0.7, 0.4]]), "yaw_rate_command": torch.tensor([[0.3]])}
    metrics = {name: float(value) for name, value in Quadruped().metrics(state, goal).items()}
    assert metrics == pytest.approx(
        {"velocity_error_mps": 0.5, "yaw_rate_error_radps": 0.5, "speed_mps": 1.0, "power_w": 30.0}, rel=1e-5
    )


def test_the_sensors_errors_are_the_configured_ones(make_legged: MakeLegged):
    """A bias of its own in every episode and joint, besides noise; goals are read without error."""
    sensors = {"joint_position": SensorModel(bias=0.03), "imu_orientation": SensorModel(noise=0.02)}
    env = Env(Quadruped(QuadrupedConfig(sensors=sensors, episode_steps=20)), make_legged(100), seed=0)
    env.reset()
    biases = []
    for _ in range(30):
        env.step(torch.zeros(100, 12))
        state = env.engine.read()
        assert isinstance(state, ArticulatedState)
        biases.append(env.signals["joint_position"] - state.joint_position)
        torch.testing.assert_close(env.signals["joint_velocity"], state.joint_velocity)
        assert torch.equal(env.signals["yaw_rate_command"], env.goal["yaw_rate_command"])
    torch.testing.assert_close(biases[18], biases[0], rtol=0, atol=1e-5)
    assert float((biases[19] - biases[18]).abs().min(-1).values.max()) > 1e-4, "another in the next"
    torch.testing.assert_close(biases[29], biases[19], rtol=0, atol=1e-5)
    assert float(biases[0].std()) == pytest.approx(0.03, rel=0.1)


def test_the_trained_latency_is_the_longest_drawn():
    config = QuadrupedConfig(
        actuation_delay=(0.0, 0.012), command_delay=(0, 2), sensors={"joint_position": SensorModel(delay=(0, 1))}
    )
    assert Quadruped(config).trained_latency_s == pytest.approx(3 * 0.02 + 0.012)
