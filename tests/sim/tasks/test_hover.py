"""The task is the reference's specification; the numbers here are its own or worked out from it by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus_sim.engine import Resets, State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE,
    CRAZYFLIE_IDENTIFIED,
    MAX_ROTOR_SPEED,
    ROBOT,
    RPM,
    one_quadrotor,
    sample_parameters,
)
from isthmus_sim.rotations import rotation_matrix, tilt
from isthmus_sim.specs import Parameter
from isthmus_sim.task import Goal, Transition
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.tasks.hover import Hover, HoverConfig, RewardWeights, figure_eight, randomized

PARAMETERS = [parameter.name for parameter in ROBOT.parameters]

N = 20_000
engines = pytest.mark.parametrize("engine", ["analytic", "mujoco"])


def hover(config: HoverConfig | None = None) -> Hover:
    return Hover(ROBOT, config or HoverConfig())


def started(n: int, config: HoverConfig | None = None, engine: str = "analytic") -> Env:
    """n worlds, just reset."""
    task = hover(config)
    env = Env(task, make_engine(task.scene, n, engine), seed=0)
    env.reset()
    return env


def hovering(n: int) -> Tensor:
    return torch.full((n, 4), 0.334)


@pytest.fixture(scope="module")
def many() -> Env:
    """Many worlds of the specification, just reset."""
    return started(N)


# Interface
# ---------------------------------------------------------------------------------------------------------------------
def test_sizes():
    """146 = 3 + 9 + 3 + 3 + 32·4 for the actor, 28 = 18 + 6 + 4 for the critic."""
    task = hover()
    assert {name: group.shape for name, group in task.groups.items()} == {"actor": (146,), "critic": (28,)}
    assert (task.episode_steps, task.robot.control_period_s) == (500, 0.01)


@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("quadrotor")])
def test_every_variant_flies(name: str):
    """What is declared is what is given, which the environment checks, and it is made of numbers."""
    task = make_task(name)
    env = Env(task, make_engine(task.scene, 6, task.engines[0]), seed=0)
    env.reset()
    for _ in range(3):
        step = env.step(hovering(6))
        assert all(torch.isfinite(value).all() for value in step.observations.values())
        assert step.diverged == 0


def test_hover_action_is_hover_speed():
    """0.334 ↔ 14,476 rpm within the rounding of three decimals."""
    speed = hover().act(hovering(1), {}, {})["rotor_speed"]
    torch.testing.assert_close(speed, torch.full((1, 4), 14_476 * RPM), rtol=1e-4, atol=0)
    assert CRAZYFLIE.hover_speed == pytest.approx(float(speed[0, 0]), rel=1e-4)
    assert hover().hover_action == pytest.approx(0.334, abs=2e-4)


def test_another_quadrotor_flies_with_its_own_rotors_and_body():
    """1 kg, with rotors up to 800 rad/s: nothing is the Crazyflie's."""
    values = {"mass": 1.0, "thrust_coefficient": 1e-5, "battery": 1.0}
    command = replace(ROBOT.command("rotor_speed"), maximum=(800.0,) * 4, standby=(0.0,) * 4)

    def own(parameter: Parameter) -> Parameter:
        nominal = (values.get(parameter.name, parameter.nominal[0]),) * parameter.size
        low, high = tuple(0.9 * v for v in nominal), tuple(1.1 * v for v in nominal)
        return replace(parameter, nominal=nominal, minimum=low, maximum=high)

    class Body:
        parameters = tuple(own(parameter) for parameter in ROBOT.variations[0].parameters)

    rotors = replace(ROBOT.actuators[0], parameters=tuple(map(own, ROBOT.actuators[0].parameters)))  # pyright: ignore
    mine = replace(ROBOT, name="mine", commands=(command,), actuators=(rotors,), variations=(Body(),), mass=1.0)
    task = Hover(mine, randomized())
    assert float(task.act(torch.ones(1, 4), {}, {})["rotor_speed"][0, 0]) == 800.0
    lift = 4 * 1e-5 * (0.5 * 800.0 * (task.hover_action + 1)) ** 2
    assert lift == pytest.approx(9.81)
    env = Env(task, make_engine(task.scene, 50, "analytic"), seed=0)
    env.reset()
    assert 0.9 <= float(env.engine.params["mass"].min()) < 0.95 < 1.05 < float(env.engine.params["mass"].max()) <= 1.1


def test_what_does_not_fly_is_refused():
    with pytest.raises(ValueError, match="lacks the parameters: thrust_coefficient"):
        Hover(replace(ROBOT, actuators=()), HoverConfig())


def test_actions_are_linear_from_rest_to_full_speed():
    command = hover().act(torch.tensor([[-1.0, 0.0, 0.5, 1.0]]), {}, {})["rotor_speed"]
    torch.testing.assert_close(command / RPM, torch.tensor([[0.0, 10_851.0, 16_276.5, 21_702.0]]))
    assert ROBOT.commands[0].maximum == (MAX_ROTOR_SPEED,) * 4
    assert ROBOT.commands[0].order == ("front_right", "rear_right", "rear_left", "front_left")


def yawed(velocity: tuple[float, float, float]) -> State:
    """Facing world y, moving with `velocity` in the world."""
    half = math.sqrt(0.5)
    return {
        "position": torch.tensor([[0.1, 0.2, 0.3]]),
        "orientation": torch.tensor([[half, 0.0, 0.0, half]]),
        "linear_velocity": torch.tensor([velocity]),
        "angular_velocity": torch.tensor([[1.0, 2.0, 3.0]]),
        "actuator": torch.zeros(1, 4),
    }


def test_the_robot_measures_velocity_in_its_own_frame():
    """Facing world y, motion along world x is motion to the right: body -y."""
    task = hover()
    signals = task.sense(yawed((1.0, 0.0, 0.0)), origin(task))
    torch.testing.assert_close(signals["linear_velocity"], torch.tensor([[0.0, -1.0, 0.0]]))
    torch.testing.assert_close(signals["angular_velocity"], torch.tensor([[1.0, 2.0, 3.0]]))


def test_the_actors_observation_by_hand():
    task = hover()
    signals = task.sense(yawed((1.0, 0.5, 0.25)), {})
    signals |= {
        "reference_position": torch.tensor([[0.0, 0.0, 5.0]]),
        "reference_velocity": torch.tensor([[1.0, 0, 0]]),
    }
    memory = {"actions": torch.arange(128.0).reshape(1, 32, 4)}
    expected = [0.1, 0.2, -0.6, 0, -1, 0, 1, 0, 0, 0, 0, 1, 0.0, 0.5, 0.25, 1, 2, 3, *range(128)]
    torch.testing.assert_close(task.observe(signals, memory)["actor"], torch.tensor([expected]), rtol=0, atol=1e-6)


def test_the_history_runs_from_the_oldest_to_the_newest_action():
    """Reversed in time it would have the same width and a good policy would score nothing."""
    env = started(2, HoverConfig(start_position=0.0, start_angle=0.0, start_velocity=0.0, start_rate=0.0))
    rows = 0.334 + 0.01 * torch.randn(40, 2, 4, generator=torch.Generator().manual_seed(0))
    for t, row in enumerate(rows):
        seen = env.step(row).observations["actor"][:, 18:].unflatten(1, (32, 4))
        held = min(t + 1, 32)
        assert torch.equal(seen[:, 32 - held :], rows[t + 1 - held : t + 1].transpose(0, 1))
        assert torch.equal(seen[:, : 32 - held], torch.zeros(2, 32 - held, 4)), "nothing before the first action"


# Start, end, disturbance
# ---------------------------------------------------------------------------------------------------------------------
def test_starts_are_the_references(many: Env):
    """±0.2 m, up to 90°, ±1 m/s, ±1 rad/s, rotors at 10,851 rpm; a tenth at the origin and level."""
    state = many.state
    at_rest = (state["position"] == 0).all(-1)
    assert float(at_rest.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert torch.equal(at_rest, state["orientation"][:, 0] == 1)
    for value, bound in ((state["position"], 0.2), (state["linear_velocity"], 1.0), (state["angular_velocity"], 1.0)):
        assert float(value.abs().max()) <= bound
        spread = value[~at_rest].std(0)
        torch.testing.assert_close(spread, torch.full((3,), bound / math.sqrt(3)), rtol=0.03, atol=0)
        assert float(value.mean(0).abs().max()) < 0.03 * bound
    torch.testing.assert_close(state["actuator"], torch.full((N, 4), 10_851 * RPM))
    angle = 2 * state["orientation"][~at_rest, 0].clamp(-1, 1).acos()
    assert float(angle.max()) <= math.pi / 2 + 1e-3
    assert float(tilt(state["orientation"]).max()) > 1.4


def test_disturbances_are_the_references(many: Env):
    """mg/20 = 13.24 mN and mg/10000 = 26.49 µN·m about every axis, one draw per episode."""
    torch.testing.assert_close(many.engine.force.std(0), torch.full((3,), 0.0132435), rtol=0.03, atol=0)
    torch.testing.assert_close(many.engine.torque.std(0), torch.full((3,), 2.6487e-5), rtol=0.03, atol=0)
    assert float(many.engine.force.mean(0).abs().max()) < 4 * 0.0132 / math.sqrt(N)


@engines
def test_a_disturbance_lasts_an_episode_and_no_longer(engine: str):
    env = started(8, engine=engine)
    kept = env.engine.force.clone()
    step = env.step(hovering(8))
    assert len(step.ended) == 0
    assert torch.equal(env.engine.force, kept)
    env.episode_step[torch.tensor([2, 5])] = 499
    step = env.step(hovering(8))
    assert step.ended.tolist() == [2, 5]
    assert (env.engine.force != kept).any(-1).nonzero().flatten().tolist() == [2, 5]


@engines
def test_the_disturbance_of_a_new_episode_acts(engine: str):
    """What the critic is told is what the body feels, in every world, after the worlds beside it were reset."""
    env = started(32, engine=engine)
    env.episode_step[::2] = 499
    env.step(torch.zeros(32, 4))
    at_rest = Resets(ids=torch.arange(32), state={"orientation": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(32, 1)})
    after = env.engine.advance({"rotor_speed": torch.zeros(32, 4)}, at_rest)
    felt = after["linear_velocity"] / 0.01 * 0.027 + torch.tensor([0.0, 0.0, 0.027 * 9.81])
    torch.testing.assert_close(felt, env.engine.force, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize(
    ("position", "ends"),
    [((0.59, -0.59, 0.59), False), ((0.0, 0.0, -0.61), True), ((0.61, 0.0, 0.0), True), ((math.nan, 0.0, 0.0), True)],
)
def test_an_episode_ends_outside_of_60_cm(position: tuple[float, ...], ends: bool):
    task, state = hover(), yawed((0.0, 0.0, 0.0)) | {"position": torch.tensor([position])}
    assert bool(task.terminated(state, origin(task))) is ends


# Reward
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("term", "start", "after_three_stages", "target"),
    [
        ("position", 5.0, 8.64, 40.0),  # 5 · 1.2³
        ("orientation", 5.0, 5.0, 5.0),
        ("velocity", 0.01, 0.02744, 1.0),  # 0.01 · 1.4³
        ("action", 0.01, 0.02744, 1.0),
    ],
)
def test_the_curriculum_goes_from_the_references_start_to_its_target(
    term: str, start: float, after_three_stages: float, target: float
):
    weights = RewardWeights()
    found = [getattr(weights, term).at(stage) for stage in (0.0, 3.0, weights.stages, 2 * weights.stages)]
    assert found == pytest.approx([start, after_three_stages, target, target], rel=1e-4)


def origin(task: Hover) -> Goal:
    """What is asked of one world at its start."""
    return task.goal(torch.zeros(1), None, torch.Generator())


def transition(state: State, goal: Goal, command: Tensor, previous: Tensor, progress: float) -> Transition:
    commands, before = {"rotor_speed": command}, {"rotor_speed": previous}
    return Transition(state=state, goal=goal, commands=commands, previous=before, progress=progress)


@pytest.mark.parametrize(("progress", "total"), [(0.0, 1.02980), (1.0, -3.62)])
def test_the_reward_by_hand(progress: float, total: float):
    """‖p‖² = 0.01, 1 - q_w² = 0.36, ‖v‖² = 9, ‖a - 0.334‖² = 0.04:
    2 - 0.5·(40·0.01 + 5·0.36 + 1·9 + 1·0.04) = -3.62, and with (5, 5, 0.01, 0.01) 1.0298."""
    task, state = hover(), yawed((1.0, 2.0, 2.0))
    state |= {"position": torch.tensor([[0.1, 0.0, 0.0]]), "orientation": torch.tensor([[0.8, 0.6, 0.0, 0.0]])}
    command = task.act(torch.full((1, 4), 0.434), {}, {})["rotor_speed"]
    terms = task.reward(transition(state, origin(task), command, command, progress))
    assert float(torch.stack(list(terms.values())).sum()) == pytest.approx(total, rel=1e-4)
    assert float(terms["survival"]) == 2.0


def test_the_reward_is_about_the_error_to_the_reference():
    task, state = hover(), yawed((1.0, 0.0, 0.0))
    goal = {"reference_position": state["position"], "reference_velocity": state["linear_velocity"]}
    terms = task.reward(transition(state, goal, torch.zeros(1, 4), torch.zeros(1, 4), 1.0))
    assert float(terms["position"]) == 0
    assert float(terms["velocity"]) == 0
    assert float(task.metrics(state, goal)["position_error_m"]) == 0
    assert not bool(task.terminated(state, goal))


# Randomised and moving
# ---------------------------------------------------------------------------------------------------------------------
def test_randomized_airframes_lie_between_and_around_the_published_two():
    drawn = sample_parameters(N, torch.Generator().manual_seed(0))
    low, high = {}, {}
    for name, value in drawn.items():
        low[name], high[name] = value.amin(0), value.amax(0)
    assert float(low["mass"]) == pytest.approx(0.95 * CRAZYFLIE.mass, rel=0.02)
    assert float(high["mass"]) == pytest.approx(1.05 * CRAZYFLIE_IDENTIFIED.mass, rel=0.02)
    torch.testing.assert_close(low["inertia"], 0.85 * torch.tensor(CRAZYFLIE.inertia), rtol=0.03, atol=0)
    torch.testing.assert_close(high["inertia"], 1.15 * torch.tensor(CRAZYFLIE_IDENTIFIED.inertia), rtol=0.03, atol=0)
    assert float(low["time_constant_up"]) == pytest.approx(0.8 * 0.055, rel=0.05)
    assert float(high["time_constant_down"]) == pytest.approx(1.2 * 0.249, rel=0.05)
    assert 0.92 <= float(low["battery"]) < float(high["battery"]) <= 1.0
    one = one_quadrotor({name: value[:1] for name, value in drawn.items()})
    assert one.mass == float(drawn["mass"][0, 0])
    assert one.inertia == tuple(drawn["inertia"][0].tolist())


@engines
def test_every_episode_of_the_randomized_task_has_another_airframe(engine: str):
    """And the critic sees which: 28 numbers and the ten parameters."""
    env = started(6, randomized(), engine)
    first = env.reset()["critic"]
    assert first.shape == (6, 38)
    parameters = torch.cat([env.engine.params[name] for name in PARAMETERS], -1)
    assert torch.equal(first[:, 28:], parameters)
    assert len(env.engine.params["mass"].unique()) == 6
    env.episode_step[3] = 499
    step = env.step(hovering(6))
    changed = (torch.cat([env.engine.params[name] for name in PARAMETERS], -1) != parameters).any(-1)
    assert changed.nonzero().flatten().tolist() == step.ended.tolist() == [3]
    assert torch.equal(step.observations["critic"][3, 28:], torch.cat([env.engine.params[n][3] for n in PARAMETERS]))


@pytest.mark.parametrize("period", [5.5, 10.0])
def test_the_figure_eight(period: float):
    """1 m by 0.5 m, through the origin twice a lap; its velocity is its position's derivative."""
    time = torch.linspace(0, period, 2001, dtype=torch.float64)
    position, velocity = figure_eight(period)(time)
    difference = (position[2:] - position[:-2]) / (time[2:] - time[:-2]).unsqueeze(-1)
    torch.testing.assert_close(velocity[1:-1], difference, rtol=0, atol=1e-4)
    torch.testing.assert_close(position[[0, 1000, 2000]], torch.zeros(3, 3, dtype=torch.float64))
    torch.testing.assert_close(
        position.abs().amax(0), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("name", ["quadrotor-figure-eight-10s", "quadrotor-figure-eight-5.5s"])
def test_a_figure_eight_starts_where_the_robot_is(name: str):
    """On the reference, with its velocity, level: every world, and none has failed after a few steps."""
    task = make_task(name)
    env = Env(task, make_engine(task.scene, 200, "analytic"), seed=0)
    env.reset()
    state, goal = env.state, env.goal
    torch.testing.assert_close(state["position"], goal["reference_position"])
    torch.testing.assert_close(state["linear_velocity"], goal["reference_velocity"])
    assert float(tilt(state["orientation"]).max()) < 1e-3
    for _ in range(5):
        step = env.step(hovering(200))
        assert not step.terminated.any()
    expected = task.goal(torch.full((200,), 5), None, torch.Generator())
    torch.testing.assert_close(env.signals["reference_position"], expected["reference_position"])


def test_a_changing_command_costs_in_the_variant_for_transfer_only():
    """Half the range is an action change of 1 for each of four motors: -0.5 · 0.3 · 4 = -0.6."""
    half = 0.5 * MAX_ROTOR_SPEED
    for task, expected in ((hover(), None), (hover(randomized()), -0.6)):
        state, goal = yawed((0.0, 0.0, 0.0)), origin(task)
        terms = task.reward(transition(state, goal, torch.full((1, 4), half), torch.zeros(1, 4), 1.0))
        assert terms.get("smoothness") == (None if expected is None else pytest.approx(expected))


# Sensors
# ---------------------------------------------------------------------------------------------------------------------
@engines
def test_the_actor_sees_noise_and_the_critic_the_truth(engine: str):
    n = 4000
    env = started(n, engine=engine)
    observations, state = env.step(hovering(n)).observations, env.state
    actor, critic = observations["actor"], observations["critic"]
    true = torch.cat((state["position"], rotation_matrix(state["orientation"]), state["linear_velocity"]), -1)
    assert torch.equal(critic[:, :15], true)
    assert torch.equal(critic[:, 15:18], state["angular_velocity"])
    torch.testing.assert_close(critic[:, 18:24], torch.cat((env.engine.force, env.engine.torque), -1))
    torch.testing.assert_close(critic[:, 24:], state["actuator"] / 2272.63, rtol=1e-4, atol=0)
    error = actor[:, :18] - critic[:, :18]
    torch.testing.assert_close(error[:, :3].std(0), torch.full((3,), 0.001), rtol=0.05, atol=0)
    assert float(error[:, 3:12].square().mean().sqrt()) == pytest.approx(0.001, rel=0.03)
    torch.testing.assert_close(error[:, 15:18].std(0), torch.full((3,), 0.002), rtol=0.05, atol=0)
    # The body-frame velocity's noise, 0.002, and the attitude's that turns it into the world: |v|·0.00122 aside.
    at_rest = state["linear_velocity"].norm(dim=-1) < 0.5
    assert float(error[at_rest, 12:15].std()) == pytest.approx(0.002, rel=0.1)


def test_the_latency_of_the_variant_for_transfer():
    """The velocity comes up to 10 ms late in a message that it lags behind by up to 20 ms; a command 10 ms."""
    assert hover(randomized()).trained_latency_s == pytest.approx(0.04)
    assert hover().trained_latency_s == 0.0
