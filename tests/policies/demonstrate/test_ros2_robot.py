"""The robot that speaks ROS 2, against the stand-in robot's process: recorded, commanded, silent, killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.cameras.simulated import SimulatedCamera
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation, RobotError, RobotLost
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_datasets.recording.scripted import ScriptedOperator
from isthmus_sim.robots.quadruped.description import JOINTS, ROBOT

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'isthmus[ros]'")

from ros_processes import LEGS, START_S
from ros_processes import Operator as Watcher
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String

from isthmus_deploy.contracts.robot_interface import CommandInterface, RobotInterface, SignalInterface
from isthmus_deploy.ros import qos, ros2
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_policies.demonstrate.ros2.connection import hear_interface
from isthmus_policies.demonstrate.ros2.robot import Ros2Robot

pytestmark = pytest.mark.ros

COMMAND, COMMANDS_TOPIC = ROBOT.commands[0], "forward_position_controller/commands"
STAND = np.array(COMMAND.standby, np.float32)
STEPS, FPS = 40, 25


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings may be half a second old: where it is not asked when one is stale, a busy machine shall not say so."""

    def hear(node: Any, wait_s: float) -> RobotInterface:
        heard = hear_interface(node, wait_s)
        return replace(heard, signals=tuple(replace(signal, max_age_s=0.5) for signal in heard.signals))

    monkeypatch.setattr("isthmus_policies.demonstrate.ros2.robot.hear_interface", hear)


class StandUp(ScriptedOperator):
    """Asks for the pose in which it stands; `at_step` is called in step 10."""

    at_step: Callable[[], None] = staticmethod(lambda: None)

    def plan(self, observation: Observation, step: int) -> np.ndarray:
        if step == 10:
            self.at_step()
        return STAND


def stand(robot: Ros2Robot) -> None:
    robot.reset(0)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        robot.observe()
        robot.act(STAND)


@pytest.mark.usefixtures("patient")
def test_it_is_recorded_and_when_it_dies_what_was_seen_stays(start, tmp_path):
    process = start(*LEGS)
    grey = SimulatedCamera("front", lambda: np.full((16, 24, 3), 90, np.uint8), time.monotonic_ns)
    operator, begin_ns = StandUp(steps=STEPS), time.monotonic_ns()
    with closing(Ros2Robot(cameras={"front": grey}, wait_s=START_S)) as robot:
        features = robot.features
        assert features.robot_type == "quadruped"
        assert features.action.names == JOINTS
        assert features.columns["state"].names == tuple(
            f"{signal}.{joint}" for signal in ("joint_position", "joint_velocity") for joint in JOINTS
        )
        assert features.columns["imu"].shape == (7,)
        with (
            open_dataset(tmp_path / "walk", features, fps=FPS) as writer,
            Recorder(robot, operator, writer, task="stand") as recorder,
        ):
            assert recorder.record(0).steps == STEPS
            operator.at_step = process.kill
            with pytest.raises(RecordingError, match=r"topic /(joint_states|imu): its newest .*episode 1 was kept"):
                recorder.record(1)
        with pytest.raises(RobotLost, match=r"topic /\w+: its newest reading is .* does the robot still run"):
            robot.observe()
    reader = DatasetReader(tmp_path / "walk")
    first, second = reader.episodes
    assert (first.length, second.facts["ending"]) == (STEPS, "sensors")
    assert 9 <= second.length < STEPS, "until it was killed, and as long as its readings were fresh enough"
    assert len(reader.frames(1, "observation.images.front")) == second.length
    columns = reader.columns(0)
    assert np.array_equal(columns["sent_action"], np.tile(STAND, (STEPS, 1))), "it is within the limits"
    position = columns["observation.state"][:, : len(JOINTS)]
    lying = np.abs(np.array(COMMAND.safe) - STAND).mean()
    assert np.abs(position - STAND).mean() < 0.3 * lying, "an episode begins in stand-by, not where the robot lay"
    assert np.linalg.norm(columns["observation.imu"][:, 3:], axis=1) == pytest.approx(1.0, abs=1e-3), "wxyz"
    times = columns["capture_time_ns"]
    assert features.sensors == ("state", "imu", "front")
    steps_ms = np.diff(times, axis=0) / 1e6
    assert (steps_ms >= 0.0).all()
    assert (steps_ms > 0.0).mean() > 0.9
    assert np.median(steps_ms, axis=0) == pytest.approx(1000 / FPS, abs=8), "it runs on the robot's time"
    assert begin_ns < times.min()
    assert times.max() < time.monotonic_ns()
    age_ms = (times[:, 2] - times[:, 0]) / 1e6
    assert (age_ms > 0.0).all(), "images are taken when asked for, readings have come before"
    assert (age_ms < 200.0).all()


@pytest.mark.usefixtures("patient")
def test_whoever_drives_is_held_to_the_limits(start):
    """A quarter of a second towards a place beyond its range, from stand-by, with half a control period to each."""
    start(*LEGS)
    with closing(Ros2Robot(wait_s=START_S, rate_hz=100)) as robot, closing(Watcher(COMMANDS_TOPIC)) as watcher:
        with pytest.raises(Refusal, match="is already driven by process"):
            Ros2Robot()
        with pytest.raises(RobotError, match="quadruped: it is not driven now: reset it first"):
            robot.act(STAND)
        robot.reset(0)
        with pytest.raises(ValueError, match=r"a row has the shape \(11,\), it must be \(12,\)"):
            robot.act(np.zeros(11))
        wanted, sent = STAND.copy(), [STAND]
        wanted[0], wanted[1] = 99.0, -99.0
        while sent[-1][0] < COMMAND.maximum[0] or sent[-1][1] > COMMAND.minimum[1]:
            robot.observe()
            sent.append(robot.act(wanted))
        assert sent[-1][:2] == pytest.approx([COMMAND.maximum[0], COMMAND.minimum[1]], abs=1e-6)
        assert np.abs(np.diff(sent, axis=0)).max() <= COMMAND.max_rate[0] / 100 + 1e-6
        watcher.wait("a command", lambda: robot.act(wanted) is not None and watcher.commands)
        assert watcher.commands[-1] == pytest.approx(sent[-1], abs=1e-6)
        robot.close()
        watcher.wait("the safe command", lambda: np.allclose(watcher.commands[-1], COMMAND.safe))


@pytest.mark.usefixtures("patient")
def test_what_is_no_number_stops_it_until_it_is_reset(start):
    start(*LEGS)
    with closing(Ros2Robot(wait_s=START_S)) as robot, closing(Watcher(COMMANDS_TOPIC)) as watcher:
        robot.reset(0)
        with pytest.raises(RobotError, match=rf"{COMMAND.name}.{JOINTS[3]}: asked for nan"):
            robot.act(np.where(np.arange(12) == 3, np.nan, STAND))
        watcher.wait("the safe command", lambda: watcher.commands and np.allclose(watcher.commands[-1], COMMAND.safe))
        with pytest.raises(RobotError, match="reset it first"):
            robot.act(STAND)
        robot.reset(1)
        assert robot.act(STAND) == pytest.approx(STAND)


def test_a_topic_that_falls_silent_is_named(start):
    start(*LEGS, "--fault", "silence:imu@0.2")
    with closing(Ros2Robot(wait_s=START_S)) as robot:
        with pytest.raises(RobotLost, match=r"topic /imu: its newest reading is 0\.\d+ s old, 0\.\d+ s are allowed"):
            stand(robot)
        robot._wait_s = 0.3
        with pytest.raises(RobotLost, match=r"quadruped: nothing from /imu for 0.3 s"):
            robot.reset(0)


def test_each_topic_is_a_column(start):
    start("stand_in_robot", "--robot", "crazyflie", "--seed", 7)
    with closing(Ros2Robot(wait_s=START_S)) as robot:
        assert {name: column.shape for name, column in robot.features.columns.items()} == {"odom": (10,), "imu": (3,)}


class TwoCommands:
    """A robot with a joint that goes where it is told and one that is driven by torque, in a thread of its own; of its
    commands' limits, it does not announce those that are None."""

    def __init__(self, **without: None) -> None:
        self._without = without
        self.heard: dict[str, list[float]] = {}
        self.stale = 0
        """How many of the next messages are stamped a minute too early."""
        self._ended = threading.Event()
        self._link = ros2.Link("two_commands")
        node = self._link.node
        self._states = node.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._interface = node.create_publisher(String, "robot_interface", qos.LATCHED)
        self._interface.publish(String(data=self._described().to_json()))
        for name in ("position", "effort"):
            topic = f"forward_{name}_controller/commands"
            node.create_subscription(Float64MultiArray, topic, partial(self._hear, name), qos.COMMAND)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _described(self) -> RobotInterface:
        position = {"unit": "rad", "frame": "joint", "order": ("lift",), "shape": (1,)}
        torque = {"unit": "N·m", "frame": "joint", "order": ("grip",), "shape": (1,)}
        reading = {"minimum": (-2.0,), "maximum": (2.0,), "max_jump": (1.0,), "max_age_s": 1.0}
        driven = {"max_rate": (1000.0,), "safe": (0.125,), "standby": (0.0,), **self._without}
        return RobotInterface(
            robot="two",
            control_period_s=0.02,
            signals=(SignalInterface(name="joint_position", **position, **reading),),
            commands=(
                CommandInterface(name="joint_position_target", minimum=(-1.0,), maximum=(1.0,), **position, **driven),
                CommandInterface(name="joint_torque", minimum=(-2.0,), maximum=(2.0,), **torque, **driven),
            ),
            joints={},
        )

    def _hear(self, name: str, message: Float64MultiArray) -> None:
        self.heard[name] = list(message.data)

    def _run(self) -> None:
        while not self._ended.is_set():
            state = JointState(name=["lift", "grip"], position=[0.25, 0.5])
            state.header.stamp = self._link.now()
            if self.stale > 0:
                self.stale -= 1
                state.header.stamp.sec -= 60
            self._states.publish(state)
            self._link.wait(0.02)

    def wait_for(self, **expected: float) -> None:
        wanted = {name: [value] for name, value in expected.items()}
        deadline = time.monotonic() + START_S
        while self.heard != wanted and time.monotonic() < deadline:
            self._ended.wait(0.01)
        assert self.heard == wanted

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._link.close()


def test_each_command_goes_to_its_own_topic(domain):
    with closing(TwoCommands()) as arm:
        with closing(Ros2Robot(wait_s=START_S)) as robot:
            action = robot.features.action
            assert (action.names, action.info) == (("lift", "grip"), {"units": ["rad", "N·m"]})
            robot.reset(0)
            assert robot.observe().columns["state"].tolist() == [0.25]
            while robot.act(np.array([0.5, -9.0])).tolist() != [0.5, -2.0]:
                robot.observe()  # it takes over from stand-by
            arm.wait_for(position=0.5, effort=-2.0)
        arm.wait_for(position=0.125, effort=0.125)


def test_it_is_held_in_stand_by_while_an_episode_is_saved(domain):
    with closing(TwoCommands()) as arm, closing(Ros2Robot(wait_s=START_S)) as robot:
        robot.hold()
        assert arm.heard == {}, "nobody drives it yet"
        robot.reset(0)
        while robot.act(np.array([0.5, -2.0])).tolist() != [0.5, -2.0]:
            robot.observe()
        arm.wait_for(position=0.5, effort=-2.0)
        deadline = time.monotonic() + START_S
        while arm.heard != {"position": [0.0], "effort": [0.0]} and time.monotonic() < deadline:
            robot.hold()
        arm.wait_for(position=0.0, effort=0.0)
        robot.reset(1)
        assert robot.act(np.zeros(2)).shape == (2,)


def test_a_stale_reading_is_waited_out_before_it_moves(domain):
    with closing(TwoCommands()) as arm, closing(Ros2Robot(wait_s=START_S)) as robot:
        arm.stale = 10
        robot.reset(0)
        assert arm.stale == 0
        assert robot.observe().columns["state"].tolist() == [0.25]
        arm.stale, robot._wait_s = 10**6, 0.3
        with pytest.raises(RobotLost, match=r"/joint_states: its newest reading is 6\d\.\d+ s old.*its clock agree"):
            robot.reset(0)


def test_a_robot_that_does_not_say_its_limits_is_not_driven(domain):
    with (
        closing(TwoCommands(safe=None)),
        pytest.raises(Refusal, match=r"two announces too little .* commands\[0\]\.safe: .*isthmus-announce"),
    ):
        Ros2Robot(wait_s=START_S)


def test_no_robot(domain):
    with pytest.raises(
        Refusal, match=r"no robot: nothing on /arm/robot_interface within 0.5 s .*is the namespace right"
    ):
        Ros2Robot(namespace="/arm", wait_s=0.5)
