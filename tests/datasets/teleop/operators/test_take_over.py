"""A person with a device, alone and over a script: who is in control, what is wanted, and that nothing jumps."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from refusals import refused

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.operators.human import HumanOperator
from isthmus_datasets.teleop.operators.plane_guide import PlaneGuide
from isthmus_datasets.teleop.operators.take_over import TakeOver

_names = runpy.run_path(str(Path(__file__).parents[2] / "recording/point_mass.py"))
PointMass, Push = (_names[name] for name in ("PointMass", "Push"))
FEATURES = replace(_names["FEATURES"], cameras={}, reward=False, success=False, simulator_state=0)
RIGHT = Motion(linear=np.array((1.0, 0.0, 0.0)))


class Cart:
    """Is where the last action told it to be, at most 1 m from the origin."""

    def __init__(self) -> None:
        self.features, self.place = FEATURES, np.zeros(2)

    def reset(self, seed: int) -> None:
        self.place = np.array([0.1 * seed, 0.0])

    def observe(self) -> Observation:
        columns = {"state": self.place, "speed": np.zeros(2)}
        return Observation(columns=columns, capture_time_ns={"state": 0, "speed": 0})

    def act(self, action: np.ndarray) -> np.ndarray:
        self.place = np.clip(action, -1.0, 1.0)
        return self.place

    def close(self) -> None:
        pass


class Device:
    """Gives these motions one after another, then stillness; a string is what is wrong with it. `read` at a reset does
    not count."""

    name = "joystick"

    def __init__(self, *motions: Motion | str) -> None:
        self.motions, self.closed = [Motion(), *motions], False

    def read(self) -> Motion:
        motion = self.motions.pop(0) if self.motions else Motion()
        if isinstance(motion, str):
            raise DeviceError(self.name, motion)
        return motion

    def close(self) -> None:
        self.closed = True


class Walk:
    """Acts (0.01 k, 0.5) in step k."""

    name = "walk"

    def __init__(self, events: dict[int, Event] | None = None) -> None:
        self.events, self.step, self.seen = events or {}, 0, []
        self.resumed: list[int] = []

    def resume(self) -> None:
        self.resumed.append(self.step)

    def reset(self, seed: int) -> None:
        self.step, self.seen = 0, []

    def decide(self, observation: Observation) -> Decision:
        self.seen.append(observation.columns["state"].copy())
        action = np.array([0.01 * self.step, 0.5], np.float32)
        event = self.events.get(self.step, Event.NONE)
        self.step += 1
        return Decision(action=action, control=Controller.SCRIPT, event=event)

    def close(self) -> None:
        self.closed = True


def human(*motions: Motion | str) -> HumanOperator:
    """At 10 Hz, with a target of 0.5 m/s."""
    guide = PlaneGuide(
        FEATURES, place=("x", "y"), scale=(1, 1), origin=(0, 0), minimum=(-1, -1), maximum=(1, 1), speed_m_s=0.5
    )
    return HumanOperator(Device(*motions), guide, rate_hz=10)


def drive(operator, steps: int, robot: Cart | None = None) -> list[Decision]:
    robot = robot or Cart()
    decisions = []
    for _ in range(steps):
        decisions.append(operator.decide(robot.observe()))
        robot.act(decisions[-1].action.copy())
    return decisions


def test_a_hand_drives_from_where_the_robot_is():
    operator, robot = human(Motion(event=Event.START), RIGHT, RIGHT), Cart()
    robot.reset(4)
    operator.reset(4)
    decisions = drive(operator, 4, robot)
    np.testing.assert_allclose([d.action[0] for d in decisions], (0.4, 0.45, 0.5, 0.5), atol=1e-6)
    assert {d.control for d in decisions} == {Controller.HUMAN}
    assert [d.event for d in decisions] == [Event.START, Event.NONE, Event.NONE, Event.NONE]
    assert operator.name == "joystick"


def test_before_the_start_there_is_nothing_to_keep():
    presses = [Motion(event=event) for event in (Event.SUCCESS, Event.STOP, Event.START, Event.SUCCESS)]
    operator = human(*presses)
    operator.reset(0)
    assert [d.event for d in drive(operator, 4)] == [Event.NONE, Event.NONE, Event.START, Event.SUCCESS]


def test_what_was_pressed_between_episodes_is_forgotten():
    operator = human(Motion(event=Event.START), Motion(event=Event.STOP))
    operator.reset(0)
    drive(operator, 1)
    operator.reset(1)
    assert [d.event for d in drive(operator, 1)] == [Event.NONE]


def test_success_that_the_robot_sees_ends_the_episode():
    operator = human(Motion(event=Event.START), Motion(event=Event.DISCARD))
    operator.reset(0)
    seen = replace(Cart().observe(), success=True)
    assert operator.decide(seen).event is Event.START
    assert operator.decide(seen).event is Event.DISCARD  # the person's own word counts more
    assert operator.decide(seen).event is Event.SUCCESS


def controls(decisions: Iterable[Decision]) -> str:
    return "".join(d.control.name[0] for d in decisions)


def test_taking_over_and_giving_back_without_a_jump():
    still = Motion()
    operator = TakeOver(
        human(RIGHT, RIGHT, replace(RIGHT, in_control=True), RIGHT, Motion(in_control=False), still),
        other := Walk({0: Event.START}),
    )
    operator.reset(0)
    decisions = drive(operator, 7)
    assert controls(decisions) == "SSHHSSS"
    np.testing.assert_allclose(
        [d.action for d in decisions],
        [(0, 0.5), (0.01, 0.5), (0.06, 0.5), (0.11, 0.5), (0.04, 0.5), (0.05, 0.5), (0.06, 0.5)], atol=1e-6,
    )  # fmt: skip
    assert decisions[0].event is Event.START
    assert len(other.seen) == 7  # it has seen what the person did
    np.testing.assert_allclose(other.seen[4], (0.11, 0.5))
    assert other.resumed == [2, 4], "what it had planned before is stale, and it is told so before it decides"


def test_a_button_of_a_page_takes_over_and_gives_back():
    operator = TakeOver(human(), Walk())
    operator.reset(0)
    drive(operator, 2)
    operator.take()
    assert controls(drive(operator, 2)) == "HH"
    assert operator.human_in_control
    operator.give_back()
    assert controls(drive(operator, 2)) == "SS"
    operator.take()
    operator.reset(1)
    assert controls(drive(operator, 1)) == "S"  # an episode begins with the script


def test_the_humans_events_count_whoever_drives():
    operator = TakeOver(human(Motion(), Motion(event=Event.DISCARD)), Walk({0: Event.START, 1: Event.SUCCESS}))
    operator.reset(0)
    assert [d.event for d in drive(operator, 2)] == [Event.START, Event.DISCARD]
    operator = TakeOver(human(Motion(in_control=True), Motion(event=Event.STOP)), Walk({0: Event.START}))
    operator.reset(0)
    assert [d.event for d in drive(operator, 2)] == [
        Event.NONE,
        Event.NONE,
    ]  # the script has not begun: nor the episode
    operator = TakeOver(
        human(Motion(), Motion(in_control=True), Motion(event=Event.STOP)), Walk({0: Event.START})
    )  # fmt: skip
    operator.reset(0)
    assert [d.event for d in drive(operator, 3)] == [Event.START, Event.NONE, Event.STOP]


def test_a_human_who_is_first_lets_the_script_begin():
    operator = TakeOver(human(RIGHT, RIGHT, Motion(in_control=False)), Walk({0: Event.START}), human_first=True)
    operator.reset(0)
    decisions = drive(operator, 4)
    assert controls(decisions) == "HHSS"
    assert [d.event for d in decisions] == [Event.NONE, Event.NONE, Event.START, Event.NONE]


def test_who_was_in_control_is_in_the_dataset(tmp_path: Path):
    device = human(Motion(), Motion(), Motion(in_control=True), RIGHT, Motion(in_control=False), Motion(),
                   Motion(event=Event.STOP))  # fmt: skip
    operator, robot = TakeOver(device, Walk({0: Event.START})), Cart()
    with (
        open_dataset(tmp_path / "set", robot.features, fps=10) as writer,
        Recorder(robot, operator, writer, task="walk", clock=VirtualClock()) as recorder,
    ):
        assert recorder.record(0).steps == 6
    rows = DatasetReader(tmp_path / "set").columns(0)
    assert rows["control"].ravel().tolist() == [2, 2, 0, 0, 2, 2]
    np.testing.assert_allclose(rows["action"][3], (0.06, 0.5), atol=1e-6)
    assert rows["intervention"].ravel().tolist() == [False, False, True, True, False, False]
    would_have = [(0.01 * step, 0.5) for step in range(6)]
    np.testing.assert_allclose(rows["policy_action"], would_have, atol=1e-6)
    assert rows["policy_known"].all()


def test_the_other_is_asked_from_the_start_on_though_the_person_is_first(tmp_path: Path):
    device = human(RIGHT, Motion(event=Event.START), RIGHT, Motion(in_control=False), Motion(event=Event.STOP))
    events = {0: Event.START, 1: Event.TIME}  # a script's, which do not count before it has driven
    operator = TakeOver(device, other := Walk(events), human_first=True)
    with (
        open_dataset(tmp_path / "set", FEATURES, fps=10) as writer,
        Recorder(Cart(), operator, writer, task="walk", clock=VirtualClock()) as recorder,
    ):
        recorder.record(0)
    rows = DatasetReader(tmp_path / "set").columns(0)
    assert rows["control"].ravel().tolist() == [0, 0, 2]
    assert rows["intervention"].ravel().tolist() == [True, True, False]
    assert rows["policy_known"].all()
    np.testing.assert_allclose(rows["policy_action"], [(0.0, 0.5), (0.01, 0.5), (0.02, 0.5)], atol=1e-6)
    assert other.resumed == [2]


def test_a_person_who_is_alone_intervenes_in_nothing(tmp_path: Path):
    operator = human(Motion(event=Event.START), RIGHT, Motion(event=Event.STOP))
    with (
        open_dataset(tmp_path / "set", FEATURES, fps=10) as writer,
        Recorder(Cart(), operator, writer, task="walk", clock=VirtualClock()) as recorder,
    ):
        recorder.record(0)
    rows = DatasetReader(tmp_path / "set").columns(0)
    assert not rows["intervention"].any()
    assert not rows["policy_known"].any(), "nobody was asked, and what stands there says nothing"
    np.testing.assert_array_equal(rows["policy_action"], rows["action"])


def test_a_device_that_is_unplugged_costs_the_episode_and_nothing_else(tmp_path: Path):
    start, stop = Motion(event=Event.START), Motion(event=Event.STOP)
    operator, robot = (
        human(start, RIGHT, stop, Motion(), start, RIGHT, "unplugged: plug it in", Motion(), start, RIGHT, stop),
        Cart(),
    )
    with (
        open_dataset(tmp_path / "set", robot.features, fps=10) as writer,
        Recorder(robot, operator, writer, task="walk", clock=VirtualClock()) as recorder,
    ):
        recorder.record(0)
        with refused("set | episode 1 | 2 steps | joystick: unplugged", RecordingError):
            recorder.record(1)
        assert recorder.record(2).steps == 2
    assert DatasetReader(tmp_path / "set").num_episodes == 2
