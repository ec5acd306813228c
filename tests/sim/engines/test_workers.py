"""Robots in the processes of other simulators: held to the checks that every engine passes, and to MuJoCo.

Each simulator that is not installed skips with what to install.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import quadrotors
import torch
from quadrupeds import POSE, begin, hold, on_mujoco, scattered, standing, step, targets, walk, whole
from torch import Tensor
from workers import SIMULATORS, MakeWorker, missing, opened

from isthmus_sim.engine import State, UnsupportedError
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.engines.worker.robot_of_scene import SPACING
from isthmus_sim.env import Env
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.quadrotor.description import MAX_ROTOR_SPEED, sample_parameters
from isthmus_sim.robots.quadruped.description import GRAVITY, MASS, ROBOT, TRUNK
from isthmus_sim.scene import Quantity, legged_scene
from isthmus_sim.scenes.terrain import Terrain, TerrainConfig
from isthmus_sim.tasks import make_task

FINE = legged_scene(replace(ROBOT, control_period_s=0.005))
"""The robot whose control period is one physics step."""


@pytest.fixture(params=SIMULATORS)
def make(request: pytest.FixtureRequest) -> Iterator[MakeWorker]:
    """Every simulator that is here."""
    if reason := missing(request.param):
        pytest.skip(reason)
    yield from opened(SIMULATORS[request.param]())


def both(make: MakeWorker, n: int, start: State, **params: Any) -> tuple[Any, MujocoEngine]:
    """The same robots in the worker and in MuJoCo."""
    engines = make(n), on_mujoco(n)
    for engine in engines:
        begin(engine, start, **params)
    return engines


# The same robot as MuJoCo's
# ---------------------------------------------------------------------------------------------------------------------
def test_a_robot_stands_up_as_in_mujoco(make: MakeWorker):
    """Dropped into its default pose it sinks, rises and rests: in one second never 3 mm from MuJoCo's."""
    engine, mujoco = both(make, 2, standing(2))
    for _ in range(50):
        states = [step(each, POSE.repeat(2, 1)) for each in (engine, mujoco)]
        heights = [float(state["position"][0, 2]) for state in states]
        assert heights[0] == pytest.approx(heights[1], abs=3e-3)
    torch.testing.assert_close(states[0]["foot_position"], states[1]["foot_position"], rtol=0, atol=6e-3)
    torch.testing.assert_close(states[0]["joint_torque"], states[1]["joint_torque"], rtol=0, atol=0.8)


def test_a_biped_stands_as_in_mujoco(make: MakeWorker):
    scene = legged_scene(ROBOTS["biped"])
    pose = torch.tensor([ROBOTS["biped"].default_pose])
    height = ROBOTS["biped"].stances["stand"].height
    start = {"position": torch.tensor([[0.0, 0.0, height]]), "joint_position": pose, "actuator": pose}
    engines = make(1, scene), MujocoEngine(scene, 1, num_threads=1)
    for engine in engines:
        begin(engine, start)
    command = ROBOTS["biped"].commands[0].name
    for _ in range(25):
        found, expected = (engine.advance({command: pose}) for engine in engines)
        assert float(found["position"][0, 2]) == pytest.approx(float(expected["position"][0, 2]), abs=3e-3)
    assert float(found["foot_force"].sum()) == pytest.approx(float(expected["foot_force"].sum()), rel=0.1)


def test_robots_in_the_air_move_as_in_mujoco(make: MakeWorker):
    """Turning, pushed, loaded off its centre, and moving its legs. That the base's velocity is its origin's, and not
    the centre of mass's, is here. Integrators differ by up to half a physics step, so that one is short."""
    start = scattered(4, seed=2)
    start["position"][:, 2] = 3.0
    start["angular_velocity"] = 2.0 * torch.randn(4, 3, generator=torch.Generator().manual_seed(3))
    force, torque = (torch.tensor([row]).repeat(4, 1) for row in ([30.0, -20.0, 10.0], [1.0, 2.0, -1.0]))
    scene = legged_scene(ROBOT, timestep_s=0.001)
    engines = make(4, scene), MujocoEngine(scene, 4, num_threads=1)
    for each in engines:
        begin(
            each, start, payload=[[0.0], [3.0], [-2.0], [1.0]], com_offset=torch.full((4, 3), 0.04),
            strength=torch.linspace(0.6, 1.0, 12).repeat(4, 1),
        )  # fmt: skip
        each.apply_wrench(force, torque)
    for target in targets(10, 4):
        found, expected = (step(each, target) for each in engines)
    found["orientation"] = found["orientation"] * (found["orientation"] * expected["orientation"]).sum(-1, True).sign()
    allowed = {
        "position": 2e-3, "orientation": 5e-3, "linear_velocity": 0.02, "angular_velocity": 0.15,
        "joint_position": 0.02, "joint_velocity": 0.4, "joint_torque": 0.7,
    }  # fmt: skip
    off = {name: float((found[name] - expected[name]).abs().max()) for name in allowed}
    assert {name: value for name, value in off.items() if value > allowed[name]} == {}
    assert float(expected["angular_velocity"].abs().max()) > 3.0, "it turned"


def test_feet_are_where_mujoco_has_them(make: MakeWorker):
    engine, mujoco = make(5), on_mujoco(5)
    found, expected = (begin(each, scattered(5, seed=4)) for each in (engine, mujoco))
    for name in ("foot_position", "foot_velocity"):
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-5)


def test_a_worker_has_the_terrain(make: MakeWorker):
    """Dropped onto its tiles, robots rest at the height at which they rest in MuJoCo, not on the plane below."""
    terrain = Terrain(TerrainConfig(levels=2, tile=4.0, border=2.0))
    scene, start = legged_scene(ROBOT, terrain), standing(10)
    level, kind = torch.arange(10) % 2, torch.arange(10) // 2
    start["position"] += terrain.origin(level, kind)
    heights = []
    for engine in (make(10, scene), MujocoEngine(scene, 10, num_threads=1)):
        begin(engine, start)
        heights.append(hold(engine, 50)["position"][:, 2].clone())
    torch.testing.assert_close(heights[0], heights[1], rtol=0, atol=0.01)
    assert float(heights[1].max() - heights[1].min()) > 0.2


# Drives, by hand
# ---------------------------------------------------------------------------------------------------------------------
def test_pd_by_hand_at_the_first_physics_step(make: MakeWorker):
    """25·0.2 - 0.5·1 = 4.5 N·m at one joint, by strength 0.9 and doubled gains, in power 1 rad/s more."""
    engine, start, target = make(3, FINE), standing(3, 1.0), POSE.repeat(3, 1)
    target[:, 4] += 0.2
    start["joint_velocity"][:, 4] = 1.0
    one = torch.ones(3, 12)
    begin(
        engine, start, strength=one * torch.tensor([[1.0], [0.9], [1.0]]),
        stiffness=one * torch.tensor([[25.0], [25.0], [50.0]]), damping=one * torch.tensor([[0.5], [0.5], [1.0]]),
    )  # fmt: skip
    state = step(engine, target)
    torch.testing.assert_close(state["joint_torque"][:, 4], torch.tensor([4.5, 4.05, 9.0]))
    torch.testing.assert_close(state["joint_power"][:, 4], torch.tensor([4.5, 4.05, 9.0]))
    limits = torch.tensor([joint.effort_limit for joint in ROBOT.joints.values()])
    begin(engine, standing(3, 1.0))
    torch.testing.assert_close(step(engine, target + 100.0)["joint_torque"][0], limits)


@pytest.mark.parametrize(("delay", "old_steps"), [(0.0, 0), (0.011, 2), (0.02, 4)])
def test_a_target_acts_after_its_delay_to_the_physics_step(make: MakeWorker, delay: float, old_steps: int):
    """Held to an engine that is told the target of every physics step: the one before for `delay`, then the new one."""
    delayed, by_hand, before = make(1), make(1, FINE), POSE.repeat(1, 1)
    begin(delayed, standing(1), command_delay_s=[[delay]])
    begin(by_hand, standing(1))
    for target in targets(4, 1):
        found = step(delayed, target)
        torques = [step(by_hand, before if k < old_steps else target)["joint_torque"].clone() for k in range(4)]
        before = target
        torch.testing.assert_close(found["joint_torque"], torch.stack(torques).mean(0), rtol=1e-4, atol=1e-4)
    assert float((found["joint_position"] - POSE).abs().max()) > 0.05, "the targets did something"


# Parameters
# ---------------------------------------------------------------------------------------------------------------------
def test_everything_falls_alike(make: MakeWorker):
    engine = make(4)
    begin(
        engine, standing(4, 5.0), payload=[[0.0], [3.0], [0.0], [-2.0]], friction=[[1.0], [0.1], [1.0], [2.0]],
        com_offset=[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.05, 0.03, 0.02], [0.0, 0.0, 0.0]],
    )  # fmt: skip
    state = hold(engine, 10)
    expected = torch.tensor([0.0, 0.0, -GRAVITY * 0.2]).repeat(4, 1)
    torch.testing.assert_close(state["linear_velocity"], expected, rtol=1e-3, atol=1e-3)
    assert (state["foot_force"] == 0).all()


def test_the_feet_carry_the_weight_and_the_load(make: MakeWorker):
    engine, load = make(3), torch.tensor([[0.0], [3.0], [-1.0]])
    begin(engine, standing(3), payload=load)
    state = hold(engine, 100)
    torch.testing.assert_close(state["foot_force"].sum(-1), (MASS + load[:, 0]) * GRAVITY, rtol=0.01, atol=0)


def test_a_centre_of_mass_moved_forward_loads_the_front_feet(make: MakeWorker):
    """The trunk moved by d moves m_trunk/m·d of the whole; moments about the rear feet give the shares."""
    engine, offset = make(3), torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.0, 0.0], [0.0, 0.04, 0.0]])
    begin(engine, standing(3), com_offset=offset)
    state = hold(engine, 100)
    force, place = state["foot_force"], state["foot_position"]
    pressed = (force.unsqueeze(-1) * place[..., :2]).sum(1) / force.sum(-1, keepdim=True)  # centre of pressure
    moved = pressed - state["position"][:, :2]
    for world in (1, 2):
        torch.testing.assert_close(
            moved[world] - moved[0], TRUNK.mass / MASS * offset[world, :2], rtol=0, atol=0.005
        )


def test_on_slippery_ground_a_push_makes_the_feet_slip(make: MakeWorker):
    """60 N sideways against a weight of 149 N: 0.1 and 0.2 are too little, 0.6 and 1.0 both hold; feet, which are
    balls, roll a little."""
    engine = make(4)
    begin(engine, standing(4), friction=[[0.1], [1.0], [0.2], [0.6]])
    before = hold(engine, 50)["foot_position"].clone()
    engine.apply_wrench(torch.tensor([[0.0, 60.0, 0.0]]).repeat(4, 1), torch.zeros(4, 3))
    moved = (hold(engine, 10)["foot_position"] - before)[..., 1].mean(-1)
    assert float(moved[0]) > float(moved[2]) > 0.02
    assert float(moved[[1, 3]].abs().max()) < 0.015


def test_params_tells_what_was_set_and_refuses_the_rest(make: MakeWorker):
    engine, ids, one = make(3), [2, 0], torch.ones(2, 1)
    untouched = {name: value[1].clone() for name, value in engine.params.items()}
    drawn = {name: value[ids] * torch.tensor([[1.1], [1.2]]) + 0.001 for name, value in engine.params.items()}
    begin(engine, standing(2), ids, **drawn)
    assert {f"params:{name}" for name in engine.params} | {"wrench"} == engine.capabilities
    assert all(torch.equal(engine.params[name][ids], value) for name, value in drawn.items())
    assert all(torch.equal(engine.params[name][1], value) for name, value in untouched.items())
    with pytest.raises(UnsupportedError, match=r"cannot set wheel; it can set: com_offset, .*strength"):
        begin(engine, standing(2), ids, wheel=one)
    with pytest.raises(UnsupportedError, match=r"cannot set foot_force; it can set: position, .*actuator"):
        begin(engine, {"foot_force": torch.ones(2, 4)}, ids)
    with pytest.raises(ValueError, match=r"a payload of -7 kg leaves nothing of the base's 6\.921 kg"):
        begin(engine, standing(2), ids, friction=one, payload=-7 * one)
    assert torch.equal(engine.params["friction"][ids], drawn["friction"]), "nothing is set when something is refused"
    with pytest.raises(UnsupportedError, match=r"does not go on bit for bit; 'mujoco' has snapshots"):
        engine.state_dict()


# Worlds beside each other
# ---------------------------------------------------------------------------------------------------------------------
def test_a_reset_puts_each_row_into_its_world(make: MakeWorker):
    engine, start, ids = make(4), standing(2, 1.0), [3, 1]
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
    moved = hold(engine, 1)
    torch.testing.assert_close(moved["position"][ids], start["position"], rtol=0, atol=0.03)


def test_what_a_reset_does_not_give_is_as_the_model_has_it(make: MakeWorker):
    engine, mujoco = make(2), on_mujoco(2)
    for each in (engine, mujoco):
        begin(each, standing(2))
        walk(each, targets(3, 2))
        begin(each, {"joint_velocity": torch.ones(1, 12)}, [1])
    found, expected = engine.advance(None), mujoco.advance(None)
    for name in ("position", "orientation", "joint_position", "joint_velocity", "actuator", "linear_velocity"):
        torch.testing.assert_close(found[name][1], expected[name][1], rtol=0, atol=1e-5, msg=name)


def test_resetting_some_worlds_leaves_the_others_bit_for_bit(make: MakeWorker):
    """And what is done twice is the same twice."""
    rows, some, others, trajectories = targets(16, 6), [4, 1], [0, 2, 3, 5], []
    for again in (False, True, True):
        engine = make(6)
        begin(engine, scattered(6))
        first = walk(engine, rows[:8])
        if again:
            begin(engine, scattered(2, seed=9), some, payload=[[1.0], [2.0]], friction=[[0.2], [0.3]])
        trajectories.append(torch.cat((first, walk(engine, rows[8:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][8:, some], trajectories[1][8:, some])
    assert torch.equal(trajectories[1], trajectories[2])


def test_robots_at_one_place_do_not_touch(make: MakeWorker):
    """Worlds stand beside each other in the simulator; a robot that walks to where another world's stands is alone."""
    engine, together = make(2), standing(2)
    begin(engine, standing(2))
    alone = hold(engine, 25)["position"][:, 2].clone()
    together["position"][1, 1] = -SPACING
    begin(engine, together)
    state = hold(engine, 25)
    torch.testing.assert_close(state["position"][:, 2], alone, rtol=0, atol=1e-3)
    assert float(state["position"][0, 1]) == pytest.approx(0.0, abs=5e-3)


def test_the_wrench_outlives_a_reset(make: MakeWorker):
    engine = make(2)
    begin(engine, standing(2, 3.0))
    engine.apply_wrench(torch.tensor([[30.0, 0.0, 0.0]]).repeat(2, 1), torch.zeros(2, 3))
    hold(engine, 2)
    begin(engine, standing(1, 3.0), [0])
    before = engine.advance(None)["linear_velocity"][:, 0].clone()
    gained = hold(engine, 1)["linear_velocity"][:, 0] - before
    torch.testing.assert_close(gained[0], gained[1], rtol=0.1, atol=0)
    assert float(gained[0]) == pytest.approx(30.0 / MASS * 0.02, rel=0.3)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [("position", 1, float("nan")), ("joint_velocity", 5, 1e30), ("actuator", 3, float("nan"))],
)
def test_a_diverged_world_fails_alone_until_its_reset(make: MakeWorker, name: str, column: int, value: float):
    rows, others, start = targets(5, 4), [0, 1, 3], scattered(4)
    healthy, spoiled = make(4), make(4)
    delay = torch.full((4, 1), 0.02)  # of a target the one before acts first
    begin(healthy, {key: value.clone() for key, value in start.items()}, command_delay_s=delay)
    start[name][2, column] = value
    begin(spoiled, start, command_delay_s=delay)
    expected, found = walk(healthy, rows), walk(spoiled, rows[:1])
    assert spoiled.failed().tolist() == [False, False, True, False]
    found = torch.cat((found, walk(spoiled, rows[1:])))
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])
    begin(spoiled, standing(1), [2])
    assert torch.isfinite(walk(spoiled, targets(2, 4))).all()
    assert not spoiled.failed().any()


def test_a_target_that_is_no_number_fails_its_world(make: MakeWorker):
    engine, row = make(3), POSE.repeat(3, 1)
    begin(engine, standing(3))
    row[1, 2] = float("nan")
    step(engine, row)
    assert engine.failed().tolist() == [False, True, False]
    begin(engine, standing(1), [1])
    assert torch.isfinite(whole(hold(engine, 1))).all()
    assert not engine.failed().any()


# A robot that flies
# ---------------------------------------------------------------------------------------------------------------------
def test_quadrotors_tumble_as_in_mujoco(make: MakeWorker):
    """Half a second of random commands with drawn bodies and a wrench, up to 70 rad/s. SAPIEN integrates as MuJoCo
    does; ovphysx's attitude is half a physics step off, as the analytic engine's is (test_agreeing_engines)."""
    generator = torch.Generator().manual_seed(5)
    bodies = sample_parameters(8, generator)
    force, torque = (torch.randn(8, 3, generator=generator) for _ in range(2))
    rows = MAX_ROTOR_SPEED * torch.rand(50, 8, 4, generator=generator)
    ends = []
    for engine in (make(8, quadrotors.scene_of()), MujocoEngine(quadrotors.scene_of(), 8, num_threads=1)):
        quadrotors.begin(engine, quadrotors.tumbling(8), **bodies)
        engine.apply_wrench(0.01 * force, 1e-6 * torque)
        for row in rows:
            state = quadrotors.step(engine, row)
        ends.append({name: value.clone() for name, value in state.items()})
    found, expected = ends
    found["orientation"] = found["orientation"] * (found["orientation"] * expected["orientation"]).sum(-1, True).sign()
    allowed = {
        "position": 0.01, "orientation": 0.1, "linear_velocity": 0.06, "angular_velocity": 3.0, "actuator": 1e-3,
    }  # fmt: skip
    off = {name: float((found[name] - expected[name]).abs().max()) for name in allowed}
    assert {name: value for name, value in off.items() if value > allowed[name]} == {}
    assert float(expected["angular_velocity"].norm(dim=-1).max()) > 40.0, "it tumbled"


def test_a_rotor_that_is_no_number_fails_its_world_until_its_reset(make: MakeWorker):
    engine, row = make(3, quadrotors.scene_of()), torch.full((3, 4), 1500.0)
    quadrotors.begin(engine, quadrotors.level(3, 1500.0))
    row[1, 2] = float("nan")
    quadrotors.step(engine, row)
    assert engine.failed().tolist() == [False, True, False]
    quadrotors.begin(engine, quadrotors.level(1, 1500.0), [1])
    assert torch.isfinite(quadrotors.whole(quadrotors.step(engine, torch.full((3, 4), 1500.0)))).all()
    assert not engine.failed().any()


# A task
# ---------------------------------------------------------------------------------------------------------------------
def means(engine_of: Any) -> Tensor:
    """1.2 seconds of 16 noisy robots, resets included: height, speed, share of feet that stand, torque."""
    task = make_task("quadruped")
    env, generator, rows = Env(task, engine_of(task.scene), seed=3), torch.Generator().manual_seed(1), []
    env.reset()
    for _ in range(60):
        env.step(0.4 * torch.randn(16, 12, generator=generator))
        state = env.state
        of_state = (
            state["position"][:, 2], state["linear_velocity"].norm(dim=-1), (state["foot_force"] > 1).float().mean(-1),
            state["joint_torque"].abs().mean(-1),
        )  # fmt: skip
        rows.append(torch.stack([value.mean() for value in of_state]))
    return torch.stack(rows).mean(0)


def test_statistics_of_a_task_agree_with_mujoco(make: MakeWorker):
    found = means(lambda scene: make(16, scene))
    expected = means(lambda scene: MujocoEngine(scene, 16, num_threads=1))
    share = torch.tensor((0.02, 0.1, 0.25, 0.05))
    assert ((found - expected).abs() < share * expected.abs()).all(), (found, expected)


def test_what_it_cannot_do_is_refused_in_a_sentence(make: MakeWorker):
    with pytest.raises(UnsupportedError, match="free base that PDMotors at joints or Rotors move, and so101 has Posi"):
        make(1, make_task("pick_place").scene)
    scene, gyro = legged_scene(ROBOT), Quantity(name="gyro", kind="sensor", of=("gyro",), shape=(3,), unit="rad/s")
    with pytest.raises(UnsupportedError, match="reads no gyro; use 'mujoco'"):
        make(1, replace(scene, quantities=(*scene.quantities, gyro)))
