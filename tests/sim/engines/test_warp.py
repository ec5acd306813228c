"""The quadruped on MuJoCo Warp is the one on MuJoCo: held to the same checks, and to it.

Its kernels take a minute to compile the first time, then seconds to load: `long`.
"""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import mujoco
import pytest
import torch
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.tasks.quadruped import Quadruped

from isthmus_sim.engine import ArticulatedState, UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, FEET, GRAVITY, JOINTS, MASS, MOTORS, SPEC
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.tasks import make_task

Make = Callable[..., Any]  # worlds, options -> MujocoLegged or WarpLegged, which need not be installed
Standing = Callable[..., ArticulatedState]
POSE = torch.tensor(DEFAULT_POSE)
NO_GPU = "torch finds no CUDA device"


def _make(engine: type, n: int, **options: Any) -> Any:
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    return engine(model, SPEC, tuple(MOTORS[name.split("_")[1]] for name in JOINTS), FEET, n, **options)


def make_mujoco(n: int, **options: Any) -> MujocoLegged:
    return _make(MujocoLegged, n, num_threads=1, **options)


@pytest.fixture(scope="session")
def make_warp() -> Make:
    """On the CPU, which every machine has."""
    pytest.importorskip("mujoco_warp", reason='needs pip install "isthmus[gpu]"')
    from isthmus_sim.engines.warp_legged import WarpLegged

    return lambda n, **options: _make(WarpLegged, n, **({"device": "cpu"} | options))


@pytest.fixture(params=["mujoco", pytest.param("warp", marks=pytest.mark.long)])
def make(request: pytest.FixtureRequest) -> Make:
    """Either engine."""
    return make_mujoco if request.param == "mujoco" else request.getfixturevalue("make_warp")


def targets(steps: int, n: int, seed: int = 1) -> torch.Tensor:
    return POSE + 0.3 * torch.randn(steps, n, 12, generator=torch.Generator().manual_seed(seed))


def whole(engine: Any) -> torch.Tensor:
    """The state of every world as rows, its own copy, on the CPU."""
    state = engine.read()
    return torch.cat([getattr(state, f.name).flatten(1) for f in fields(state)], dim=-1).cpu().clone()


def walk(engine: Any, rows: torch.Tensor) -> torch.Tensor:
    trajectory = []
    for row in rows.to(engine.device):
        engine.step(row)
        trajectory.append(whole(engine))
    return torch.stack(trajectory)


def drawn_parameters(n: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)

    def uniform(low: float, high: float, size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, size, generator=generator)

    return {
        "stiffness": uniform(20, 30, 12), "damping": uniform(0.4, 0.6, 12), "strength": uniform(0.7, 1.1, 12),
        "command_delay": uniform(0, 0.02, 1), "friction": uniform(0.2, 1.2, 1), "payload": uniform(-2, 4, 1),
        "com_offset": uniform(-0.05, 0.05, 3),
    }  # fmt: skip


def set_up(engine: Any, start: ArticulatedState) -> None:
    """Another robot in every world, on the ground, leant on from outside."""
    n, device = engine.num_envs, engine.device
    ids = torch.arange(n, device=device)
    engine.set_params(ids, **{name: value.to(device) for name, value in drawn_parameters(n).items()})
    engine.apply_wrench(
        torch.tensor([20.0, -10.0, 5.0], device=device).repeat(n, 1),
        torch.tensor([1.0, 2.0, -0.5], device=device).repeat(n, 1),
    )
    moved = {f.name: getattr(start, f.name).to(device) for f in fields(start)}
    engine.reset(ids, ArticulatedState(**moved))


# The same robot
# ---------------------------------------------------------------------------------------------------------------------
def assert_agree(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Half a second of random targets in contact. Seen: 2e-6 m, 1e-6 rad, 1e-4 rad/s, 2e-4 N·m, 3e-3 N."""
    sizes = {
        "position": 3, "orientation": 4, "linear_velocity": 3, "angular_velocity": 3, "actuator": 12,
        "joint_position": 12, "joint_velocity": 12, "joint_torque": 12, "joint_power": 12, "foot_position": 12,
        "foot_velocity": 12, "foot_force": 4,
    }  # fmt: skip
    allowed = dict.fromkeys(sizes, 1e-4) | {
        "linear_velocity": 1e-3, "angular_velocity": 1e-2, "joint_velocity": 1e-2, "joint_torque": 1e-2,
        "joint_power": 0.1, "foot_velocity": 1e-2, "foot_force": 0.5,
    }  # fmt: skip
    columns = dict(zip(sizes, (found - expected).split(tuple(sizes.values()), dim=-1), strict=True))
    worst = {name: float(value.abs().max()) for name, value in columns.items()}
    assert {name: value for name, value in worst.items() if value > allowed[name]} == {}


@pytest.mark.long
def test_trajectories_agree_with_mujoco(make_warp: Make, standing: Standing):
    """Sixteen robots, each with its own gains, strength, delay, load, balance and ground."""
    engines = make_mujoco(16), make_warp(16)
    for engine in engines:
        set_up(engine, standing(16))
    expected, found = (walk(engine, targets(25, 16)) for engine in engines)
    assert (expected[-1, :, -4:] > 10).any(), "feet are on the ground"
    assert_agree(found, expected)


@pytest.mark.long
def test_derived_constants_agree_with_mujoco(make_warp: Make, standing: Standing):
    engines = make_mujoco(4), make_warp(4)
    for engine in engines:
        set_up(engine, standing(4))
    expected, found = engines
    for name in ("body_mass", "body_inertia", "body_ipos", "body_subtreemass", "body_invweight0", "dof_invweight0"):
        field = torch.from_numpy(getattr(found.warp_model, name).numpy()).double()
        other = torch.from_numpy(expected.batch.expand(name)).reshape(field.shape)
        torch.testing.assert_close(field, other, rtol=3e-6, atol=1e-7, msg=name)


@pytest.mark.long
@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough"])
def test_statistics_of_the_same_policy_agree(make_warp: Make, name: str):
    """Two seconds of 32 noisy robots, resets included: height, speed, share of feet that stand, torque, reward.

    On height fields the two find other contacts, so trajectories part there after some tenths of a second.
    """
    means = []
    for engine in ("mujoco", "warp"):
        task = make_task(name)
        assert isinstance(task, Quadruped)
        env = Env(task, make_engine(task, 32, engine), seed=3)
        device, generator = env.engine.device, torch.Generator().manual_seed(1)
        env.level.copy_(torch.arange(32) % task.levels)
        env.reset()
        rows = []
        for _ in range(100):
            step = env.step(0.4 * torch.randn(32, 12, generator=generator).to(device))
            state = env.engine.read()
            assert isinstance(state, ArticulatedState)
            ground = task.terrain.height(state.position[:, :2]) if task.terrain else 0.0
            height, speed = state.position[:, 2] - ground, state.linear_velocity.norm(dim=-1)
            stand = (state.foot_force > 1).float().mean(-1)
            effort = state.joint_torque.abs().mean(-1)
            rows.append(torch.stack([value.mean() for value in (height, speed, stand, effort, step.reward)]))
        means.append(torch.stack(rows).mean(0).cpu())
    expected, found = means
    share = (0.02, 0.15, 0.10, 0.05, 0.15) if name == "quadruped-rough" else (0.005, 0.02, 0.02, 0.01, 0.02)
    assert ((found - expected).abs() < torch.tensor(share) * expected.abs()).all(), (found, expected)


# The same checks, on both
# ---------------------------------------------------------------------------------------------------------------------
def test_the_feet_carry_the_weight_and_the_load(make: Make, standing: Standing):
    engine, load = make(3), torch.tensor([[0.0], [3.0], [-1.0]])
    engine.set_params(torch.arange(3), payload=load)
    engine.reset(torch.arange(3), standing(3))
    walk(engine, POSE.expand(75, 3, 12))
    weight = (MASS + load[:, 0]) * GRAVITY
    torch.testing.assert_close(engine.read().foot_force.sum(-1), weight, rtol=0.01, atol=0)


def test_a_reset_puts_each_row_into_its_world(make: Make, standing: Standing):
    engine, start, ids = make(4), standing(2, 1.0), torch.tensor([3, 1])
    engine.reset(torch.arange(4), standing(4))
    start.position[:, 0] = torch.tensor([1.0, 2.0])
    start.joint_velocity[1, 5] = 3.0
    start.angular_velocity[0] = torch.tensor([1.0, 2.0, 3.0])
    engine.reset(ids, start)
    state = engine.read()
    for field in ("position", "orientation", "angular_velocity", "joint_position", "joint_velocity", "actuator"):
        torch.testing.assert_close(getattr(state, field)[ids], getattr(start, field), msg=field)
    assert state.position[[0, 2], 0].tolist() == [0.0, 0.0]
    beside = state.foot_position[ids, :, 0].mean(-1) - state.position[ids, 0]
    assert float(beside.abs().max()) < 0.1, "the feet are known at once"
    assert (state.foot_force[ids] == 0).all()


def test_a_reset_leaves_the_other_worlds_bit_for_bit(make: Make, standing: Standing):
    rows, some, others = targets(20, 6), torch.tensor([4, 1]), torch.tensor([0, 2, 3, 5])
    trajectories = []
    for again in (False, True):
        engine = make(6)
        set_up(engine, standing(6))
        first = walk(engine, rows[:10])
        if again:
            engine.set_params(some, payload=torch.tensor([[1.0], [2.0]]), friction=torch.tensor([[0.2], [0.3]]))
            engine.reset(some, standing(2, 0.4))
            first[-1, others] = whole(engine)[others]
        trajectories.append(torch.cat((first, walk(engine, rows[10:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][10:, some], trajectories[1][10:, some])


def test_a_world_that_was_reset_walks_as_a_new_one(make: Make, standing: Standing):
    used, new = make(2), make(2)
    set_up(used, standing(2))
    walk(used, targets(15, 2, seed=4))
    trajectories = []
    for engine in (used, new):
        set_up(engine, standing(2))
        trajectories.append(walk(engine, targets(10, 2)))
    assert torch.equal(*trajectories)


def test_a_saved_state_goes_on_bit_for_bit(make: Make, standing: Standing):
    first, second = make(4), make(4)
    set_up(first, standing(4))
    walk(first, targets(15, 4))
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    assert {len(value) for value in saved.values()} == {4}, "a row per world"
    going_on = walk(first, targets(15, 4, seed=2))
    walk(second, targets(3, 4, seed=8))
    second.load_state_dict(saved)
    assert torch.equal(walk(second, targets(15, 4, seed=2)), going_on)
    assert all(torch.equal(first.params[name], second.params[name]) for name in first.params)
    assert torch.equal(first.force, second.force)


def spoil_position(state: ArticulatedState) -> None:
    state.position[2, 1] = float("nan")


def spoil_joint(state: ArticulatedState) -> None:
    state.joint_velocity[2, 5] = 1e30


def spoil_target(state: ArticulatedState) -> None:
    """Where there is a delay the target before acts first."""
    state.actuator[2, 3] = float("nan")


@pytest.mark.parametrize("spoil", [spoil_position, spoil_joint, spoil_target])
def test_a_diverged_world_fails_alone_until_its_reset(
    make: Make, standing: Standing, spoil: Callable[[ArticulatedState], None]
):
    rows, others = targets(6, 4), torch.tensor([0, 1, 3])
    healthy, spoiled = make(4), make(4)
    start = standing(4)
    spoil(start)
    for engine, state in ((healthy, standing(4)), (spoiled, start)):
        set_up(engine, state)
        engine.set_params(torch.tensor([2]), command_delay=torch.tensor([[0.02]]))
    expected, found = walk(healthy, rows), walk(spoiled, rows[:1])
    assert spoiled.failed().tolist() == [False, False, True, False]
    found = torch.cat((found, walk(spoiled, rows[1:])))
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])
    spoiled.reset(torch.tensor([2]), standing(1))
    walk(spoiled, targets(2, 4))
    assert not spoiled.failed().any()
    assert torch.isfinite(whole(spoiled)).all()


def test_params_tells_what_was_set_and_refuses_the_rest(make: Make):
    engine, ids = make(3), torch.tensor([2, 0])
    untouched = {name: value[1].clone() for name, value in engine.params.items()}
    drawn = drawn_parameters(2)
    engine.set_params(ids, **drawn)
    assert {f"params:{name}" for name in drawn} | {"wrench"} == set(engine.capabilities)
    assert all(torch.equal(engine.params[name][ids], value) for name, value in drawn.items())
    assert all(torch.equal(engine.params[name][1], value) for name, value in untouched.items())
    with pytest.raises(UnsupportedError, match=r"cannot set wheel; it can set: com_offset, command_delay, .*strength"):
        engine.set_params(ids, wheel=torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"a payload of -7 kg leaves nothing of the base's 6\.921 kg"):
        engine.set_params(ids, payload=torch.full((2, 1), -7.0))


# What is its own
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.long
def test_the_state_is_the_simulators_own_memory(make_warp: Make):
    engine = make_warp(3)
    assert engine.qpos.data_ptr() == engine.data.qpos.ptr
    assert engine.read().joint_position.data_ptr() == engine.qpos[:, 7:].data_ptr()
    engine.qvel[1, 0] = 5.0
    engine.step(POSE.repeat(3, 1))
    assert float(engine.read().position[1, 0]) == pytest.approx(0.1, abs=5e-3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"njmax": 8}, r"more constraint rows of a world than the buffer holds \(njmax = 8\).*larger njmax"),
        ({"nconmax": 1}, r"the buffer holds \(nconmax \* num_envs = 3\).*larger nconmax"),
    ],
)
def test_a_buffer_that_is_too_small_is_an_error(make_warp: Make, standing: Standing, options: dict, message: str):
    from isthmus_sim.engines.warp_legged import BufferOverflowError

    engine = make_warp(3, **options)
    engine.reset(torch.arange(3), standing(3))
    with pytest.raises(BufferOverflowError, match=message):
        walk(engine, POSE.expand(20, 3, 12))


@pytest.mark.long
def test_the_default_buffers_hold_robots_that_fall(make_warp: Make, standing: Standing):
    """Limp from 0.4 m: trunk and feet lie on the ground, joints at their limits."""
    engine = make_warp(8)
    engine.set_params(torch.arange(8), strength=torch.zeros(8, 12))
    engine.reset(torch.arange(8), standing(8, 0.4))
    walk(engine, targets(75, 8))
    assert (engine.read().position[:, 2] < 0.1).all()


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    monkeypatch.delitem(sys.modules, "isthmus_sim.engines.warp_legged", raising=False)
    with pytest.raises(UnsupportedError, match=r'needs mujoco_warp: pip install "isthmus\[gpu\]"'):
        make_engine(Quadruped(), 2, "warp")


def made_on(device: torch.device, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        with device:
            return method(*args, **options)

    return call


@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough"])
def test_every_tensor_of_a_task_names_its_device(name: str):
    """What does not is made on the default device: here one without memory, where any use together is an error."""
    task, cpu = make_task(name), torch.device("cpu")
    engine = make_engine(task, 8, "mujoco")
    for method in ("read", "step", "reset", "set_params", "apply_wrench", "failed", "state_dict"):
        setattr(engine, method, made_on(cpu, getattr(engine, method)))  # its own tensors are its own affair
    action = torch.zeros(8, 12)
    with torch.device("meta"):
        env = Env(task, engine, seed=0, spread=True, episode_steps=20)
        env.reset()
        steps = [env.step(action) for _ in range(30)]
    assert sum(len(step.ended) for step in steps) > 8, "worlds were reset"
    assert steps[-1].reward.device == cpu


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
def test_a_gpu_gives_mujocos_trajectories(make_warp: Make, standing: Standing):
    engines = make_mujoco(16), make_warp(16, device="cuda")
    for engine in engines:
        set_up(engine, standing(16))
    expected, found = (walk(engine, targets(25, 16)) for engine in engines)
    assert_agree(found, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough"])
def test_an_environment_lives_on_the_gpu(make_warp: Make, name: str):
    task = make_task(name)
    env = Env(task, make_engine(task, 64, "warp"), seed=0, spread=True, episode_steps=20)
    assert env.engine.device.type == "cuda"
    observations = env.reset()
    for _ in range(30):
        step = env.step(torch.zeros(64, 12, device="cuda"))
        assert step.failed == 0
    assert observations["actor"].is_cuda
    assert step.reward.is_cuda
