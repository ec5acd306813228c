"""Pick and place: what counts as done, how episodes begin and end, what an action means."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.so101.description import HOME, ROBOT
from isthmus_sim.scenes.desk import ZONE_RADIUS
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.pick_place import PickPlace, PickPlaceConfig

EXACT = PickPlaceConfig(sensors={}, noise={}, joint_noise=0.0)
TASK = PickPlace(ROBOT, PickPlaceConfig())


def desks(n: int, task: Task = TASK, seed: int = 0) -> Env:
    env = Env(task, make_engine(task.scene, n, "mujoco"), seed)
    env.reset()
    return env


def state(**changes: tuple[float, ...]) -> State:
    """An arm at home, its cube at rest in the middle of the zone, nothing touched."""
    values = {
        "joint_position": HOME, "joint_velocity": (0.0,) * 6, "tip_position": (0.2, 0.0, 0.11),
        "cube_position": (0.2, 0.1, 0.015), "cube_orientation": (1.0, 0.0, 0.0, 0.0),
        "cube_linear_velocity": (0.0,) * 3, "cube_angular_velocity": (0.0,) * 3, "cube_edge": (0.03,),
        "zone_position": (0.2, 0.1), "contact_count": (0.0, 0.0),
    }  # fmt: skip
    return {name: torch.tensor([row]) for name, row in (values | changes).items()}


# Done
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({}, True),
        ({"cube_position": (0.2, 0.1 + ZONE_RADIUS - 0.0151, 0.015)}, True),
        ({"cube_position": (0.2, 0.1 + ZONE_RADIUS - 0.0149, 0.015)}, False),  # half an edge over the rim
        ({"cube_position": (0.2, 0.1, 0.019)}, False),  # held over it
        ({"contact_count": (1.0, 0.0)}, False),
        ({"contact_count": (0.0, 1.0)}, False),
        ({"cube_linear_velocity": (0.02, 0.0, 0.0)}, False),
        ({"cube_angular_velocity": (0.0, 0.0, 0.5)}, False),
    ],
)
def test_done_is_in_the_zone_at_rest_and_let_go(change: dict[str, tuple[float, ...]], done: bool):
    assert TASK.succeeded(state(**change), {}).tolist() == [done]


def test_doing_nothing_until_time_is_out_is_no_success():
    env = desks(4, PickPlace(ROBOT, replace(EXACT, episode_steps=5)))
    steps = [env.step(torch.zeros(4, 6)) for _ in range(5)]
    assert steps[-1].truncated.all()
    assert not torch.stack([step.succeeded | step.terminated for step in steps]).any()


def test_a_cube_off_the_table_ends_the_episode_and_no_other_world():
    env = desks(3, PickPlace(ROBOT, EXACT))
    before = env.state
    env.engine.qpos[1, 6:9] = torch.tensor([0.8, 0.0, -0.019], dtype=torch.float64)
    step, after = env.step(torch.zeros(3, 6)), env.state
    assert step.terminated.tolist() == [False, True, False]
    assert step.succeeded.tolist() == [False, False, False]
    assert env.episode_step.tolist() == [1, 0, 1]
    others = [0, 2]
    torch.testing.assert_close(after["cube_position"][others], before["cube_position"][others], atol=1e-3, rtol=0)
    assert torch.equal(after["zone_position"][others], before["zone_position"][others])
    assert not torch.equal(after["zone_position"][1], before["zone_position"][1])


# Starts and actions
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["pick_place", "pick_place-randomized"])
def test_the_interface(name: str):
    """12 s at 30 Hz; where cube and zone are is what only a simulator knows."""
    task = make_task(name)
    assert (round(1 / task.robot.control_period_s), task.episode_steps) == (30, 360)
    assert len(task.environment) == task.groups["environment"].size == 10
    env = desks(3, task)
    step = env.step(torch.zeros(3, 6))
    place, edge, zone = step.observations["environment"].split((7, 1, 2), dim=-1)
    torch.testing.assert_close(place[:, :3], env.state["cube_position"])
    assert torch.equal(edge, env.engine.params["cube_edge"])
    torch.testing.assert_close(zone, env.state["zone_position"])


def test_no_action_is_home_and_whole_actions_are_the_limits():
    actions = torch.tensor([[0.0], [1.0], [-1.0]]).repeat(1, 6)
    home, high, low = TASK.act(actions, {}, {})["joint_position_target"]
    assert home.tolist() == pytest.approx(HOME)
    assert high.tolist() == pytest.approx(ROBOT.commands[0].maximum)
    assert low.tolist() == pytest.approx(ROBOT.commands[0].minimum)


def test_starts_are_within_reach_apart_and_at_rest():
    env = desks(500)
    begun = env.state
    for place in (begun["cube_position"][:, :2], begun["zone_position"]):
        radius = (place - torch.tensor([0.0388, 0.0])).norm(dim=-1)
        assert 0.139 < float(radius.min()) < 0.15
        assert 0.235 < float(radius.max()) < 0.241
    assert float((begun["cube_position"][:, :2] - begun["zone_position"]).norm(dim=-1).min()) >= 0.1
    assert float(begun["contact_count"].sum()) == 0
    step = env.step(torch.zeros(500, 6))
    assert float((env.state["cube_position"] - begun["cube_position"]).norm(dim=-1).max()) < 1e-3
    assert not step.succeeded.any()


# Seeds and saved states
# ---------------------------------------------------------------------------------------------------------------------
def actions(seed: int) -> Tensor:
    return 2 * torch.rand(20, 2, 6, generator=torch.Generator().manual_seed(seed)) - 1


def test_a_seed_repeats_bit_for_bit_and_another_differs():
    def rolled(seed: int) -> Tensor:
        env = desks(2, make_task("pick_place-randomized"), seed)
        seen = [env.step(action).observations for action in actions(7)]
        return torch.stack([torch.cat((o["actor"], o["critic"]), dim=-1) for o in seen])

    assert torch.equal(rolled(3), rolled(3))
    assert not torch.equal(rolled(3), rolled(4))


def test_a_saved_state_goes_on_bit_for_bit_with_its_looks():
    made, again = (desks(2, make_task("pick_place-randomized"), seed) for seed in (0, 1))
    for action in actions(1)[:10]:
        made.step(action)
    again.load_state_dict({name: value.clone() for name, value in made.state_dict().items()})
    for action in actions(1)[10:]:
        assert torch.equal(made.step(action).observations["critic"], again.step(action).observations["critic"])
    for name, value in made.engine.params.items():
        assert torch.equal(value, again.engine.params[name]), name
    ours, theirs = (env.engine.batch.get_model(1) for env in (made, again))
    for field in ("geom_rgba", "geom_size", "geom_matid", "body_mass", "light_dir", "cam_pos", "cam_quat"):
        assert np.array_equal(getattr(ours, field), getattr(theirs, field)), field


def test_an_arm_with_another_model_is_refused():
    """The desk is built around the model of so101; another arm would silently be that one."""
    other = replace(make_task("pick_place").robot, name="my_arm", model=lambda looks: "<mujoco/>")
    with pytest.raises(ValueError, match="built around the model of so101, and my_arm has one of its own"):
        make_task("pick_place", robot=other)


# Seen
# ---------------------------------------------------------------------------------------------------------------------
def test_a_robot_with_cameras_sees_its_own_desk():
    """The arm without them reads its joints alone."""
    env = desks(2, make_task("pick_place-cameras"))
    seen = {name: value for name, value in env.signals.items() if value.dtype == torch.uint8}
    assert {name: tuple(value.shape) for name, value in seen.items()} == {
        "camera_scene": (2, 96, 96, 3),
        "camera_wrist": (2, 96, 96, 3),
    }
    assert all((value[0] != value[1]).any() for value in seen.values())
    env.close()
    assert set(desks(1).signals) == {"joint_position", "joint_velocity"}
