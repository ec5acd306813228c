"""Guides: a hand's wish becomes actions that the robot can follow."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from refusals import all_refused, refused

from isthmus_datasets.recording.robot import Observation, RobotFeatures, quantities
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.operators.arm_guide import ArmGuide
from isthmus_datasets.teleop.operators.plane_guide import PlaneGuide

arm = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("small_arm.py"))))
MODEL = arm.model()
LOW, HIGH = (np.array([MODEL.joint(name).range[end] for name in arm.ALL]) for end in (0, 1))
MOST = np.array([arm.SPEEDS[name] for name in arm.ALL]) / arm.RATE_HZ
FAST = (Phase.explicit, Phase.reuse, Phase.generate)  # a counterexample as it is: making it smaller takes minutes
TABLE = RobotFeatures(
    robot_type="pusher",
    columns={"state": quantities({"angle": "rad", "agent.x": "px", "agent.y": "px"})},
    action=quantities({"x": "px", "y": "px"}),
)


def on_table(x: float, y: float) -> Observation:
    return Observation(columns={"state": np.array([0.0, x, y], np.float32)}, capture_time_ns={"state": 0})


def plane_guide(**options) -> PlaneGuide:
    """Push-T's table: a pixel to the millimetre, y down, the origin in the middle; the person sits below it."""
    return PlaneGuide(
        TABLE, place=("agent.x", "agent.y"), scale=(1000.0, -1000.0), origin=(256.0, 256.0),
        minimum=(0.0, 0.0), maximum=(512.0, 512.0), facing_rad=math.pi / 2, **options,
    )  # fmt: skip


def test_a_target_on_a_table_begins_at_the_robot_and_goes_where_the_hand_does():
    guide = plane_guide(speed_m_s=0.5)
    guide.reset(on_table(100.0, 300.0))
    np.testing.assert_allclose(guide.target[0], (-0.156, -0.044, 0.0))
    guide.move(Motion(linear=np.array((1.0, 0.0, 1.0))), 0.1)  # away from the person: 50 px up
    np.testing.assert_allclose(guide.action(on_table(0, 0)), (100.0, 250.0), atol=1e-4)
    guide.move(Motion(linear=np.array((0.0, 1.0, 0.0))), 0.1)  # to the left
    np.testing.assert_allclose(guide.action(on_table(0, 0)), (50.0, 250.0), atol=1e-4)
    guide.goto((0.1, 0.2, 3.0), (1, 0, 0, 0))
    np.testing.assert_allclose(guide.action(on_table(0, 0)), (356.0, 56.0), atol=1e-4)
    guide.goto((9.0, -9.0, 0.0), (1, 0, 0, 0))
    np.testing.assert_allclose(guide.action(on_table(0, 0)), (512.0, 512.0))
    assert guide.action(on_table(0, 0)).dtype == np.float32


def test_a_robot_without_the_named_place_is_refused():
    with refused("agent.z | ['angle', 'agent.x', 'agent.y']", ValueError):
        PlaneGuide(
            TABLE, place=("agent.x", "agent.z"), scale=(1, 1), origin=(0, 0), minimum=(0, 0), maximum=(1, 1)
        )  # fmt: skip


def arm_guide(**options) -> ArmGuide:
    return ArmGuide(
        MODEL, arm.FEATURES, joints=arm.JOINTS, rate_hz=arm.RATE_HZ, speeds=arm.SPEEDS, gripper_joint="gripper",
        **options,
    )  # fmt: skip


def in_model_order(action: np.ndarray) -> np.ndarray:
    return action[[arm.ACTION.index(name) for name in arm.ALL]]


def follow(guide: ArmGuide, robot, steps: int) -> np.ndarray:
    """(steps, 6) joint targets, in the model's order, checked against limits and speeds."""
    targets = []
    before = np.array([robot.joints[name] for name in arm.ALL])
    for _ in range(steps):
        action = guide.action(robot.observe())
        robot.act(action)
        now = in_model_order(action)
        assert np.all(now >= LOW - 1e-6)
        assert np.all(now <= HIGH + 1e-6)
        assert np.all(np.abs(now - before) <= MOST + 1e-6)
        before = now
        targets.append(now)
    return np.array(targets)


def near_targets():
    """Joints where the arm begins, and others at most 0.8 rad away from them."""
    within = [st.floats(0.8 * low, 0.8 * high) for low, high in zip(LOW[:5], HIGH[:5], strict=True)]
    return st.tuples(st.tuples(*within), st.tuples(*[st.floats(-0.8, 0.8)] * 5))


def drag(begin: np.ndarray, change: np.ndarray) -> tuple[float, float, bool]:
    """Drag the target from where joints `begin` have the tool to where they would after `change`, and follow for 3 s:
    how far off the tool is, m and rad, and whether a joint rests at its limit."""
    end = np.clip(begin + change, 0.8 * LOW[:5], 0.8 * HIGH[:5])
    place, turned = arm.tip(MODEL, dict(zip(arm.JOINTS, end, strict=True)))
    robot, guide = arm.SmallArm(**dict(zip(arm.JOINTS, begin, strict=True))), arm_guide()
    guide.reset(robot.observe())
    guide.goto(place, turned)
    joints = follow(guide, robot, 90)[-1, :5]
    reached, wxyz = arm.tip(MODEL, robot.joints)
    at_limit = bool(np.any((joints < LOW[:5] + 1e-3) | (joints > HIGH[:5] - 1e-3)))
    return float(np.linalg.norm(reached - place)), 2 * math.acos(min(1.0, abs(wxyz @ turned))), at_limit


@settings(max_examples=20, deadline=None, phases=FAST)
@given(near_targets())
@example(((-0.327, 0.213, -1.131, -0.109, 0.239), (0.103, -0.751, 0.437, 0.355, -0.325)))  # folds its elbow on the way
def test_the_tool_reaches_what_it_can_reach_but_for_a_joint_at_its_limit(joints):
    off_m, off_rad, at_limit = drag(np.array(joints[0]), np.array(joints[1]))
    assert off_m < 2e-3 + 2e-3 * off_rad  # the place counts far more than the orientation
    assert off_rad < 0.1 or at_limit


def test_few_targets_lead_a_joint_to_its_limit():
    random = np.random.default_rng(1)
    within = [(random.uniform(0.8 * LOW[:5], 0.8 * HIGH[:5]), random.uniform(-0.8, 0.8, 5)) for _ in range(40)]
    reached = [off_m < 2e-3 and off_rad < 0.1 for off_m, off_rad, _ in (drag(*joints) for joints in within)]
    assert sum(reached) >= 38


@settings(max_examples=12, deadline=None, phases=FAST)
@given(
    st.tuples(*[st.floats(-1, 1)] * 5),
    st.tuples(*[st.floats(-2, 2)] * 3),
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
)
@example((0.6066, -0.6015, 0.6563, 0.0, 0.183), (0.0, 0.0276, -1.5708), (0.0, 0.5, 0.3749, 0.0))  # creeps for 20 s
def test_a_target_out_of_reach_is_approached_and_the_arm_comes_to_rest(begin, place, wxyz):
    robot, guide = arm.SmallArm(**dict(zip(arm.JOINTS, begin, strict=True))), arm_guide()
    guide.reset(robot.observe())
    guide.goto(place, wxyz)
    follow(guide, robot, 900)  # 30 s: along a stretched arm's arc it goes slowly
    last = np.diff(follow(guide, robot, 20), axis=0)
    assert np.abs(last).max() < 0.01  # rad: an orientation that matters little is still approached
    assert not np.any(last[1:] * last[:-1] < -1e-8)  # no joint swings to and fro
    assert np.linalg.norm(guide.tool[0] - arm.tip(MODEL, robot.joints)[0]) < 2e-4  # m in a step
    np.testing.assert_allclose(guide.target[0], place)  # stays where it was dragged to


def test_a_stretched_arm_bends_again():
    """Stretched out, no small change of the joints pulls the tool back: the singular case."""
    robot, guide = arm.SmallArm(), arm_guide()
    guide.reset(robot.observe())
    place, wxyz = arm.tip(MODEL, robot.joints)
    guide.goto(place + np.array((0.4, 0.0, 0.0)), wxyz)
    follow(guide, robot, 90)
    guide.goto(place - np.array((0.1, 0.0, 0.0)), wxyz)
    follow(guide, robot, 90)
    assert np.linalg.norm(arm.tip(MODEL, robot.joints)[0] - (place - np.array((0.1, 0.0, 0.0)))) < 2e-3


def test_a_hand_cannot_push_the_target_away_from_an_arm_that_is_held_back():
    robot, guide = arm.SmallArm(elbow=0.5), arm_guide(leash_m=0.06)
    robot.held = arm.ALL
    guide.reset(robot.observe())
    tool, _ = arm.tip(MODEL, robot.joints)
    for _ in range(100):
        guide.move(Motion(linear=np.array((0.0, 1.0, 0.0)), angular=np.array((0.0, 0.0, 1.0))), 1 / 30)
        action = guide.action(robot.observe())
    assert np.linalg.norm(guide.target[0] - tool) == pytest.approx(0.06, abs=1e-4)
    shall, _ = arm.tip(MODEL, dict(zip(arm.ACTION, action.tolist(), strict=True)))
    assert np.linalg.norm(shall - tool) < 0.062


def test_the_hand_moves_and_turns_the_target_in_the_persons_axes():
    robot, guide = arm.SmallArm(elbow=0.5), arm_guide(facing_rad=math.pi / 2, speed_m_s=0.3, turn_rad_s=1.0)
    guide.reset(robot.observe())
    before, _ = guide.target
    guide.move(Motion(linear=np.array((1.0, 0.0, 0.5)), angular=np.array((0.0, 0.0, 1.0))), 0.1)
    after, wxyz = guide.target
    np.testing.assert_allclose(after - before, (0.0, 0.03, 0.015), atol=1e-9)
    _, upright = arm.tip(MODEL, robot.joints)
    assert 2 * math.acos(abs(wxyz @ upright)) == pytest.approx(0.1, abs=1e-6)


def test_the_gripper_goes_from_closed_to_open_no_faster_than_it_may():
    robot, guide = arm.SmallArm(gripper=-0.2), arm_guide(grip_per_s=30.0)
    guide.reset(robot.observe())
    assert guide.gripper == pytest.approx(0.0, abs=1e-6)
    guide.move(Motion(gripper=1.0), 1 / 30)
    assert guide.gripper == 1.0
    targets = follow(guide, robot, 30)[:, 5]
    np.testing.assert_allclose(targets[:3], (-0.1, 0.0, 0.1), atol=1e-5)  # 3 rad/s at 30 Hz
    assert targets[-1] == pytest.approx(1.7)
    guide.gripper = 0.5
    assert follow(guide, robot, 30)[-1, 5] == pytest.approx(0.75)


def test_what_the_gripper_holds_is_held_on_to():
    """A policy closes the gripper upon an object 0.4 rad wide; the person who takes over must not let it fall."""
    robot, guide = arm.SmallArm(gripper=0.4, elbow=0.5), arm_guide()
    sent = np.array([-0.2, 0.0, 0.0, 0.53, 0.0, 0.0], np.float32)
    guide.reset(robot.observe(), sent)
    robot.held = ("gripper",)
    action = dict(zip(arm.ACTION, guide.action(robot.observe()), strict=True))
    assert action["gripper"] == pytest.approx(-0.2)
    assert action["elbow"] == pytest.approx(0.53, abs=0.02)  # it hangs a little below its target, and stays


def test_a_model_or_action_that_lacks_a_joint_is_refused():
    def make(**change):
        said = {"joints": arm.JOINTS, "rate_hz": 30, "speeds": arm.SPEEDS, "gripper_joint": "gripper", **change}
        return ArmGuide(MODEL, arm.FEATURES, **said)

    all_refused(
        {
            "shoulder | pan, lift": lambda: make(joints=("shoulder",)),
            "speeds | roll, gripper": lambda: make(speeds=dict.fromkeys(arm.JOINTS[:4], 1.0)),
            "action | gripper": lambda: make(gripper_joint=None),
            "'tip' | gripper_tip": lambda: make(site="tip"),
        },
        ValueError,
    )


def test_a_step_takes_at_most_two_milliseconds():
    robot, guide = arm.SmallArm(elbow=0.5), arm_guide()
    guide.reset(robot.observe())
    times = []
    for step in range(200):
        begin = time.perf_counter()
        guide.move(Motion(linear=np.array((math.cos(step / 20), math.sin(step / 20), 0.0))), 1 / 30)
        action = guide.action(robot.observe())
        times.append(time.perf_counter() - begin)
        robot.act(action)
    print(f"inverse kinematics: {1e3 * np.median(times):.2f} ms a step, median of 200")
    assert np.median(times) <= 2e-3
