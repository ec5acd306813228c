"""The quadruped on MuJoCo Warp is the one on MuJoCo: held to the same checks, and to it.

Its kernels take a minute to compile the first time, then seconds to load: `long`.
"""

# pyright: reportAttributeAccessIssue=false, reportMissingImports=false

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from quadrupeds import POSE, begin, hold, on_mujoco, standing, step, targets, walk, whole

from isthmus_sim.actuators import PDMotors
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import State, UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.quadruped.description import GRAVITY, MASS, ROBOT
from isthmus_sim.scene import Quantity, Scene, legged_scene
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.variations import Load

Make = Callable[..., Any]  # worlds, options -> MujocoEngine or WarpEngine, which need not be installed
NO_GPU = "torch finds no CUDA device"


@pytest.fixture(scope="session")
def make_warp() -> Make:
    """On the CPU, which every machine has."""
    pytest.importorskip("mujoco_warp", reason='needs pip install "isthmus[gpu]"')
    from isthmus_sim.engines.warp_engine import WarpEngine

    def make(n: int, scene: Scene | None = None, **options: Any) -> WarpEngine:
        return WarpEngine(scene or legged_scene(ROBOT), n, **{"device": "cpu", **options})  # pyright: ignore[reportArgumentType]

    return make


@pytest.fixture(params=["mujoco", pytest.param("warp", marks=pytest.mark.long)])
def make(request: pytest.FixtureRequest) -> Make:
    """Either engine: worlds, robot."""
    if request.param == "mujoco":
        return on_mujoco
    make_warp = request.getfixturevalue("make_warp")
    return lambda n, robot=ROBOT: make_warp(n, legged_scene(robot))


def drawn_parameters(n: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)

    def uniform(low: float, high: float, size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, size, generator=generator)

    return {
        "stiffness": uniform(20, 30, 12), "damping": uniform(0.4, 0.6, 12), "strength": uniform(0.7, 1.1, 12),
        "command_delay_s": uniform(0, 0.02, 1), "friction": uniform(0.2, 1.2, 1), "payload": uniform(-2, 4, 1),
        "com_offset": uniform(-0.05, 0.05, 3),
    }  # fmt: skip


def set_up(engine: Any, start: State) -> State:
    """Another robot in every world, on the ground, leant on from outside."""
    n, device = engine.num_envs, engine.device
    engine.apply_wrench(
        torch.tensor([20.0, -10.0, 5.0], device=device).repeat(n, 1),
        torch.tensor([1.0, 2.0, -0.5], device=device).repeat(n, 1),
    )
    return begin(engine, start, **drawn_parameters(n))


# The same robot
# ---------------------------------------------------------------------------------------------------------------------
ALLOWED = {
    "position": 1e-4, "orientation": 1e-4, "linear_velocity": 1e-3, "angular_velocity": 1e-2, "joint_position": 1e-4,
    "joint_velocity": 1e-2, "joint_torque": 1e-2, "joint_power": 0.1, "actuator": 1e-4, "foot_position": 1e-4,
    "foot_velocity": 1e-2, "foot_force": 0.5,
}  # fmt: skip


def assert_agree(one: Any, other: Any, start: State) -> None:
    """Half a second of random targets in contact. Seen: 2e-6 m, 1e-6 rad, 1e-4 rad/s, 2e-4 N·m, 3e-3 N."""
    worst = dict.fromkeys(ALLOWED, 0.0)
    states = [set_up(engine, start) for engine in (one, other)]
    for target in targets(25, one.num_envs):
        states = [step(engine, target) for engine in (one, other)]
        for name in worst:
            first, second = (state[name].cpu() for state in states)
            worst[name] = max(worst[name], float((first - second).abs().max()))
    assert {name: value for name, value in worst.items() if value > ALLOWED[name]} == {}
    assert (states[0]["foot_force"] > 10).any(), "feet are on the ground"


@pytest.mark.long
def test_trajectories_agree_with_mujoco(make_warp: Make):
    """Sixteen robots, each with its own gains, strength, delay, load, balance and ground."""
    assert_agree(on_mujoco(16), make_warp(16), standing(16))


@pytest.mark.long
def test_derived_constants_agree_with_mujoco(make_warp: Make):
    expected, found = on_mujoco(4), make_warp(4)
    for engine in (expected, found):
        set_up(engine, standing(4))
    for name in ("body_mass", "body_inertia", "body_ipos", "body_subtreemass", "body_invweight0", "dof_invweight0"):
        field = torch.from_numpy(getattr(found.warp_model, name).numpy()).double()
        other = torch.from_numpy(expected.batch.expand(name)).reshape(field.shape)
        torch.testing.assert_close(field, other, rtol=3e-6, atol=1e-7, msg=name)


def in_two_parts() -> RobotDescription:
    """The quadruped whose hind legs have a command of their own."""
    motors = ROBOT.actuators[0]
    assert isinstance(motors, PDMotors)

    def part(prefix: str, joints: tuple[str, ...]) -> PDMotors:
        mine = {name: motors.joints[name] for name in joints}
        return replace(
            motors, command=f"{prefix}target", joints=mine, prefix=prefix,
            motors={name: motors.motors[name] for name in joints},
        )  # fmt: skip

    names, whole_command = tuple(ROBOT.joints), ROBOT.commands[0]
    # The hind legs first: the order of the actuators is not that of the joints.
    parts = {"hind_": names[6:], "fore_": names[:6]}
    each = {name: value for name, value in asdict(whole_command).items() if isinstance(value, tuple)}
    commands = [
        replace(whole_command, name=f"{prefix}target", **{name: value[of] for name, value in each.items()})
        for prefix, of in (("hind_", slice(6, None)), ("fore_", slice(6)))
    ]
    return replace(ROBOT, commands=tuple(commands), actuators=tuple(part(*item) for item in parts.items()))


def test_a_robot_with_two_commands_is_the_same_robot(make: Make):
    """Gains, torques and power of each joint are its own, whichever command it belongs to."""
    one, two = make(2), make(2, in_two_parts())
    stiffness, delay = torch.linspace(20.0, 30.0, 12).repeat(2, 1), [[0.01], [0.02]]
    begin(one, standing(2), stiffness=stiffness, command_delay_s=delay)
    begin(
        two, standing(2) | {"actuator": POSE.roll(6).repeat(2, 1)},  # the hind legs first
        fore_stiffness=stiffness[:, :6], fore_command_delay_s=delay,
        hind_stiffness=stiffness[:, 6:], hind_command_delay_s=delay,
    )  # fmt: skip

    def tell(target: torch.Tensor) -> State:
        return two.advance({"fore_target": target[:, :6], "hind_target": target[:, 6:]})

    for target in targets(5, 2):
        expected, found = step(one, target), tell(target)
        for name in ("joint_position", "joint_torque", "joint_power", "foot_force"):
            torch.testing.assert_close(found[name], expected[name], msg=name)
        assert torch.equal(found["actuator"], target.roll(6, dims=1))
    saved, target = {name: value.clone() for name, value in two.state_dict().items()}, targets(1, 2, seed=2)[0]
    going_on = tell(target)["joint_torque"].clone()
    begin(two, standing(2))
    two.load_state_dict(saved)
    assert torch.equal(tell(target)["joint_torque"], going_on)


@pytest.mark.long
@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough"])
def test_statistics_of_the_same_policy_agree(make_warp: Make, name: str):
    """Two seconds of 32 noisy robots, resets included: height, speed, share of feet that stand, torque, reward.

    On height fields the two find other contacts, so trajectories part there after some tenths of a second.
    """
    means = []
    for make in (lambda scene: make_engine(scene, 32, "mujoco"), lambda scene: make_warp(32, scene)):
        task = make_task(name)
        assert isinstance(task, VelocityTracking)
        env = Env(task, make(task.scene), seed=3)
        generator = torch.Generator().manual_seed(1)
        env.level.copy_(torch.arange(32) % task.levels)
        env.reset()
        rows = []
        for _ in range(100):
            reward = env.step(0.4 * torch.randn(32, 12, generator=generator).to(env.device)).reward
            state = env.state
            ground = task.terrain.height(state["position"][:, :2]) if task.terrain else 0.0
            height, speed = state["position"][:, 2] - ground, state["linear_velocity"].norm(dim=-1)
            stand = (state["foot_force"] > 1).float().mean(-1)
            effort = state["joint_torque"].abs().mean(-1)
            rows.append(torch.stack([value.mean() for value in (height, speed, stand, effort, reward)]))
        means.append(torch.stack(rows).mean(0).cpu())
    expected, found = means
    share = (0.02, 0.15, 0.10, 0.05, 0.15) if name == "quadruped-rough" else (0.005, 0.02, 0.02, 0.01, 0.02)
    assert ((found - expected).abs() < torch.tensor(share) * expected.abs()).all(), (found, expected)


# The same checks
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.long
def test_the_feet_carry_the_weight_and_the_load(make_warp: Make):
    engine, load = make_warp(3), torch.tensor([[0.0], [3.0], [-1.0]])
    begin(engine, standing(3), payload=load)
    weight = (MASS + load[:, 0]) * GRAVITY
    torch.testing.assert_close(hold(engine, 75)["foot_force"].sum(-1), weight, rtol=0.01, atol=0)


@pytest.mark.long
def test_a_reset_puts_each_row_into_its_world(make_warp: Make):
    engine, start, ids = make_warp(4), standing(2, 1.0), [3, 1]
    begin(engine, standing(4))
    start["position"][:, 0] = torch.tensor([1.0, 2.0])
    start["joint_velocity"][1, 5] = 3.0
    start["angular_velocity"][0] = torch.tensor([1.0, 2.0, 3.0])
    state = begin(engine, start, ids)
    for name, rows in start.items():
        torch.testing.assert_close(state[name][ids], rows, msg=name)
    assert state["position"][[0, 2], 0].tolist() == [0.0, 0.0]
    beside = state["foot_position"][ids, :, 0].mean(-1) - state["position"][ids, 0]
    assert float(beside.abs().max()) < 0.1, "the feet are known at once"
    assert (state["foot_force"][ids] == 0).all()


@pytest.mark.long
def test_what_a_reset_does_not_give_is_as_the_model_has_it(make_warp: Make):
    expected, found = on_mujoco(2), make_warp(2)
    for engine in (expected, found):
        begin(engine, standing(2))
        walk(engine, targets(3, 2))
        begin(engine, {"joint_velocity": torch.ones(1, 12)}, [1])
    for name, value in expected.advance(None).items():
        torch.testing.assert_close(found.advance(None)[name][1], value[1], rtol=0, atol=1e-5, msg=name)


@pytest.mark.long
def test_a_reset_leaves_the_other_worlds_bit_for_bit(make_warp: Make):
    rows, some, others = targets(20, 6), [4, 1], [0, 2, 3, 5]
    trajectories = []
    for again in (False, True):
        engine = make_warp(6)
        set_up(engine, standing(6))
        first = walk(engine, rows[:10])
        if again:
            state = begin(engine, standing(2, 0.4), some, payload=[[1.0], [2.0]], friction=[[0.2], [0.3]])
            first[-1, others] = whole(state)[others]
        trajectories.append(torch.cat((first, walk(engine, rows[10:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][10:, some], trajectories[1][10:, some])


@pytest.mark.long
def test_a_world_that_was_reset_walks_as_a_new_one(make_warp: Make):
    used, new = make_warp(2), make_warp(2)
    set_up(used, standing(2))
    walk(used, targets(15, 2, seed=4))
    trajectories = []
    for engine in (used, new):
        set_up(engine, standing(2))
        trajectories.append(walk(engine, targets(10, 2)))
    assert torch.equal(*trajectories)


@pytest.mark.long
def test_a_saved_state_goes_on_bit_for_bit(make_warp: Make):
    """Also where some worlds were never given parameters."""
    first, second = make_warp(4), make_warp(4)
    begin(first, standing(4))
    begin(first, standing(2), [0, 2], **drawn_parameters(2))
    first.apply_wrench(torch.full((4, 3), 10.0), torch.ones(4, 3))
    walk(first, targets(15, 4))
    saved, kept = {name: value.clone() for name, value in first.state_dict().items()}, first.snapshot()
    assert {len(value) for value in saved.values()} == {4}, "a row per world"
    going_on = walk(first, targets(15, 4, seed=2))
    assert all(torch.equal(kept[name], saved[name]) for name in kept), "a snapshot is a copy"
    walk(second, targets(3, 4, seed=8))
    second.load_state_dict(saved)
    assert torch.equal(walk(second, targets(15, 4, seed=2)), going_on)
    assert all(torch.equal(first.params[name], second.params[name]) for name in first.params)
    assert torch.equal(first.force, second.force)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "column", "value"),
    # Of a target the one before acts first where there is a delay.
    [("position", 1, float("nan")), ("joint_velocity", 5, 1e30), ("actuator", 3, float("nan"))],
)
def test_a_diverged_world_fails_alone_until_its_reset(make_warp: Make, name: str, column: int, value: float):
    rows, others = targets(6, 4), [0, 1, 3]
    healthy, spoiled, start = make_warp(4), make_warp(4), standing(4)
    start[name][2, column] = value
    for engine, state in ((healthy, standing(4)), (spoiled, start)):
        set_up(engine, state)
        begin(engine, {key: rows[[2]] for key, rows in state.items()}, [2], command_delay_s=[[0.02]])
    expected, found = walk(healthy, rows), walk(spoiled, rows[:1])
    assert spoiled.failed().tolist() == [False, False, True, False]
    found = torch.cat((found, walk(spoiled, rows[1:])))
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])
    begin(spoiled, standing(1), [2])
    assert torch.isfinite(walk(spoiled, targets(2, 4))).all()
    assert not spoiled.failed().any()


@pytest.mark.long
def test_params_tells_what_was_set_and_refuses_the_rest(make_warp: Make):
    engine, ids = make_warp(3), [2, 0]
    untouched = {name: value[1].clone() for name, value in engine.params.items()}
    drawn = drawn_parameters(2)
    begin(engine, standing(2), ids, **drawn)
    assert {f"params:{name}" for name in drawn} | {"wrench", "snapshots"} == engine.capabilities
    assert all(torch.equal(engine.params[name][ids], value) for name, value in drawn.items())
    assert all(torch.equal(engine.params[name][1], value) for name, value in untouched.items())
    with pytest.raises(UnsupportedError, match=r"cannot set wheel; it can set: com_offset, .*strength"):
        begin(engine, standing(2), ids, wheel=torch.ones(2, 1))
    with pytest.raises(UnsupportedError, match=r"cannot set foot_force; it can set: position, .*actuator"):
        begin(engine, {"foot_force": torch.ones(2, 4)}, ids)
    with pytest.raises(ValueError, match=r"a payload of -7 kg leaves nothing of the base's 6\.921 kg"):
        begin(engine, standing(2), ids, friction=torch.ones(2, 1), payload=torch.full((2, 1), -7.0))
    assert torch.equal(engine.params["friction"][ids], drawn["friction"]), "nothing is set when something is refused"


# What is its own
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.long
def test_the_state_is_the_simulators_own_memory(make_warp: Make):
    engine = make_warp(3)
    assert engine.qpos.data_ptr() == engine.data.qpos.ptr
    begin(engine, standing(3, 1.0))
    engine.qvel[1, 0] = 5.0
    state = hold(engine, 1)
    assert state["joint_position"].data_ptr() == engine.qpos[:, 7:].data_ptr()
    assert float(state["position"][1, 0]) == pytest.approx(0.1, abs=5e-3)


@pytest.mark.long
def test_what_it_cannot_do_is_refused_in_a_sentence(make_warp: Make):
    arm = make_task("pick_place").scene
    with pytest.raises(UnsupportedError, match="drives joints by PDMotors, and so101 has PositionServos; use 'mujoco'"):
        make_warp(1, arm)
    scene, gyro = legged_scene(ROBOT), Quantity(name="gyro", kind="sensor", of=("gyro",), shape=(3,), unit="rad/s")
    with pytest.raises(UnsupportedError, match="reads no gyro; use 'mujoco'"):
        make_warp(1, replace(scene, quantities=(*scene.quantities, gyro)))
    pack = Load(body="FL_calf")
    engine = make_warp(1, replace(scene, robot=replace(ROBOT, variations=(pack,))))
    assert "params:payload" not in engine.capabilities, "it derives constants for a load on the base alone"
    assert engine.params["payload"].tolist() == [[0.0]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"njmax": 8}, r"more constraint rows of a world than the buffer holds \(njmax = 8\).*larger njmax"),
        ({"nconmax": 1}, r"the buffer holds \(nconmax \* num_envs = 3\).*larger nconmax"),
    ],
)
def test_a_buffer_that_is_too_small_is_an_error(make_warp: Make, options: dict, message: str):
    from isthmus_sim.engines.warp_buffers import BufferOverflowError

    engine = make_warp(3, **options)
    begin(engine, standing(3))
    with pytest.raises(BufferOverflowError, match=message):
        hold(engine, 20)


@pytest.mark.long
def test_the_default_buffers_hold_robots_that_fall(make_warp: Make):
    """Limp from 0.4 m: trunk and feet lie on the ground, joints at their limits."""
    engine = make_warp(8)
    begin(engine, standing(8, 0.4), strength=torch.zeros(8, 12))
    walk(engine, targets(75, 8))
    assert (engine.advance(None)["position"][:, 2] < 0.1).all()


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    monkeypatch.delitem(sys.modules, "isthmus_sim.engines.warp_engine", raising=False)
    monkeypatch.delitem(sys.modules, "isthmus_sim.engines.warp_buffers", raising=False)
    with pytest.raises(UnsupportedError, match=r"needs mujoco_warp: pip install 'isthmus\[gpu\]'"):
        make_engine(legged_scene(ROBOTS["quadruped"]), 2, "warp")


def made_on(device: torch.device, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        with device:
            return method(*args, **options)

    return call


@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough"])
def test_every_tensor_of_a_task_names_its_device(name: str):
    """What does not is made on the default device: here one without memory, where any use together is an error."""
    task, cpu = make_task(name), torch.device("cpu")
    engine = make_engine(task.scene, 8, "mujoco")
    for method in ("advance", "apply_wrench", "failed"):
        setattr(engine, method, made_on(cpu, getattr(engine, method)))  # its own tensors are its own affair
    action = torch.zeros(8, 12)
    with torch.device("meta"):
        env = Env(task, engine, seed=0, random_initial_age=True, episode_steps=20)
        env.reset()
        steps = [env.step(action) for _ in range(30)]
    assert sum(len(step.ended) for step in steps) > 8, "worlds were reset"
    assert steps[-1].reward.device == cpu


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
def test_a_gpu_gives_mujocos_trajectories(make_warp: Make):
    assert_agree(on_mujoco(16), make_warp(16, device="cuda"), standing(16))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough"])
def test_an_environment_lives_on_the_gpu(make_warp: Make, name: str):
    task = make_task(name)
    env = Env(task, make_warp(64, task.scene, device="cuda"), seed=0, random_initial_age=True, episode_steps=20)
    observations = env.reset()
    steps = [env.step(torch.zeros(64, 12, device="cuda")) for _ in range(30)]
    assert sum(step.diverged for step in steps) == 0
    assert observations["actor"].is_cuda
    assert steps[-1].reward.is_cuda
