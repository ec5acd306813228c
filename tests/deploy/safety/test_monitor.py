"""A policy that is out of its depth: its scores are averaged, held to thresholds, and an alarm does what it shall."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from chunk_models import Model, with_chunks

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.monitor_data import Monitor, Score
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.chunk import ChunkDriver
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.chunk_inference import InLoop
from isthmus_deploy.safety.commands.filter import DriverFailed
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.monitor import RuntimeMonitor, ScoreWindow
from isthmus_deploy.safety.supervisor import State, TransitionError

PERIOD_NS = 10_000_000
FRESH = {"joint_position": 0.0, "orientation": 0.0}
MONITOR = Monitor(
    scores=(
        Score(name="novelty", description="new", threshold=1.0),
        Score(name="entropy", description="undecided", threshold=-2.0),
    ),
    window=3,
    false_alarms=0.1,
    episodes=40,
)


def test_a_window_averages_the_last_scores_once_there_are_as_many():
    window = ScoreWindow(3)
    means = [window.see(np.array([value])) for value in (3.0, 1.0, 5.0, 9.0)]
    assert means[:2] == [None, None]
    assert means[2:] == [3.0, 5.0]
    window.clear()
    assert window.see(np.array([7.0])) is None


def test_there_is_no_alarm_before_the_window_is_full():
    monitor = RuntimeMonitor(MONITOR)
    alarms = []
    for _ in range(4):
        monitor.see(np.array([5.0, 0.0]))
        alarms.append(monitor.alarm)
    assert alarms == [False, False, True, True]
    monitor.begin()
    monitor.see(np.array([5.0, 0.0]))
    assert not monitor.alarm


def test_there_is_an_alarm_while_both_exceed():
    monitor = RuntimeMonitor(replace(MONITOR, window=1))
    alarms = []
    for scores in ((2.0, -3.0), (0.5, 0.0), (1.0, -1.0), (1.1, -1.9), (1.2, 0.0), (1.0, 0.0), (2.0, 0.0)):
        monitor.see(np.array(scores))
        alarms.append(monitor.alarm)
    assert alarms == [False, False, False, True, True, False, True]
    assert monitor.alarms == 2, "it began twice"
    assert monitor.cause == "the policy is out of its depth: novelty 2, threshold 1; entropy 0, threshold -2"
    assert monitor.counters == {
        "monitor_alarm": True, "monitor_alarms": 2, "monitor_novelty": 2.0, "monitor_entropy": 0.0,
        "monitor_novelty_threshold": 1.0, "monitor_entropy_threshold": -2.0,
    }  # fmt: skip
    monitor.begin()
    assert not monitor.alarm
    assert "monitor_novelty" not in monitor.counters


def test_a_score_that_is_no_number_exceeds():
    monitor = RuntimeMonitor(replace(MONITOR, window=1))
    monitor.see(np.array([math.nan, -1.0]))
    assert monitor.alarm


class Robot:
    """A robot whose policy is watched; `scores` are what its monitor's graph gives next."""

    def __init__(self, contract: Contract, make_signals, **options):
        self.scores: tuple[float, float] | None = (0.0, -3.0)
        self.contract = replace(with_chunks(contract), monitor=replace(MONITOR, window=1))
        model = Model(self.contract, self._chunks, lambda windows: self._scores())
        self.controller = PolicyController({"policy": ChunkDriver(InLoop(model))}, ramp_s=0.0, **options)
        self.signals, self.now = make_signals(0.0, 0.0), 0

    def _chunks(self, windows, begin):
        return {"joint_command": np.full((4, 2), 0.05, np.float32)}

    def _scores(self):
        if self.scores is None:
            raise DriverFailed("ONNX Runtime cannot compute the scores: why")
        return np.array(self.scores)

    def tick(self, n=1):
        for _ in range(n):
            self.now += PERIOD_NS
            self.commands = self.controller.tick(self.signals, FRESH, self.now)["joint_command"].tolist()

    def start(self):
        self.controller.start(self.now)
        self.tick(4)
        assert self.controller.state is State.RUNNING

    def rise(self):
        self.controller.arm(self.now)
        self.tick(1000)
        assert self.controller.state is State.READY


class Stepped:
    """A stand-in for a runtime without chunks, whose scores are computed every third control period."""

    def __init__(self, contract: Contract):
        self.contract = replace(contract, monitor=replace(MONITOR, window=2, every=3))
        self.digest, self.computed, self.now = 64 * "0", 0, (0.0, -9.0)

    def reset(self):
        self.computed = 0

    def step(self, signals):
        return {"joint_command": np.full(2, 0.05)}

    def conditions(self):
        return Conditions()

    def scored(self):
        return {}

    def scores(self, given):
        self.computed += 1
        return np.array(self.now)


def test_a_policy_without_chunks_is_watched_every_few_control_periods(contract, make_signals):
    runtime = Stepped(contract)
    driver = StepDriver(runtime)  # pyright: ignore[reportArgumentType]
    controller = PolicyController({"policy": driver}, ramp_s=0.0, on_alarm="stop")
    now = 0

    def tick(n):
        nonlocal now
        for _ in range(n):
            now += PERIOD_NS
            controller.tick(make_signals(0.0, 0.0), FRESH, now)

    controller.arm(now)
    tick(2)
    controller.start(now)
    tick(7)
    assert runtime.computed == 3, "in the first, the fourth and the seventh"
    assert (controller.state, controller.counters["monitor_alarm"]) == (State.RUNNING, False)
    runtime.now = (5.0, 0.0)
    tick(4)
    assert controller.state is State.RUNNING, "the mean of the last two does not exceed the second threshold"
    tick(3)
    assert controller.state is State.STOPPED
    assert "novelty 5, threshold 1" in (controller.cause or "")


@pytest.fixture
def slow(contract):
    """The contract of a robot with a stand-by to rest in."""
    return replace(contract, commands=tuple(replace(item, transition_rate=(1.0, 1.0)) for item in contract.commands))


def test_an_alarm_is_told_and_the_robot_goes_on(contract, make_signals):
    robot = Robot(contract, make_signals)
    robot.rise()
    robot.start()
    robot.scores = (5.0, 0.0)
    robot.tick(4)
    assert robot.controller.state is State.RUNNING
    assert (robot.controller.counters["monitor_alarm"], robot.controller.counters["monitor_alarms"]) == (True, 1)
    assert "novelty 5, threshold 1" in (robot.controller.alarm or "")
    robot.scores = (5.0, -3.0)
    robot.tick(4)
    assert (robot.controller.counters["monitor_alarm"], robot.controller.counters["monitor_alarms"]) == (False, 1)


def test_an_alarm_holds_the_robot_in_stand_by_until_it_is_started_again(slow, make_signals):
    robot = Robot(slow, make_signals, on_alarm="hold")
    robot.rise()
    robot.start()
    robot.scores = (5.0, 0.0)
    robot.tick(4)
    assert robot.controller.state is State.STAND_UP
    robot.tick(100)
    assert robot.controller.state is State.READY
    assert robot.commands == [0.1, -0.1], "stand-by"
    assert "novelty 5, threshold 1" in (robot.controller.cause or "")
    robot.tick(100)
    assert robot.controller.state is State.READY
    robot.scores = (0.0, 0.0)
    robot.start()
    robot.tick(10)
    assert (robot.controller.state, robot.controller.cause) == (State.RUNNING, None)


def test_an_alarm_stops_the_robot(contract, make_signals):
    robot = Robot(contract, make_signals, on_alarm="stop")
    robot.rise()
    robot.start()
    robot.scores = (5.0, 0.0)
    robot.tick(4)
    assert robot.controller.state is State.STOPPED
    assert robot.commands == [0.0, 0.0], "safe"
    assert (robot.controller.cause or "").startswith("the policy is out of its depth")


def test_a_monitor_that_cannot_say_anything_is_a_fault(contract, make_signals):
    robot = Robot(contract, make_signals)
    robot.rise()
    robot.start()
    robot.scores = None
    robot.tick(4)
    assert robot.controller.state is State.FAULT
    assert robot.controller.alarm is None
    assert "cannot compute the scores" in (robot.controller.cause or "")


def test_what_an_alarm_cannot_do_is_refused(contract, make_signals):
    with pytest.raises(ValueError, match="no stand-by to rest in"):
        Robot(contract, make_signals, on_alarm="hold")
    model = Model(with_chunks(contract), lambda windows, begin: {})
    with pytest.raises(ValueError, match="has no monitor"):
        PolicyController({"policy": ChunkDriver(InLoop(model))}, on_alarm="stop")
    robot = Robot(contract, make_signals)
    robot.rise()
    robot.start()
    with pytest.raises(TransitionError, match="without a transition rate"):
        robot.controller.hold(robot.now, "why")


def test_the_contract_keeps_its_monitor_and_one_without_is_as_before(contract):
    watched = replace(contract, monitor=replace(MONITOR, noise=(16, 1, 4, 2)))
    assert Contract.from_json(watched.to_json()) == watched
    assert Contract.from_json(contract.to_json()).monitor is None
    assert '"monitor"' not in contract.to_json()
    stepped = replace(contract, monitor=replace(MONITOR, every=5, carried=3))
    assert Contract.from_json(stepped.to_json()) == stepped
    with pytest.raises(ContractError, match=r"monitor\.scores"):
        replace(contract, monitor=replace(MONITOR, scores=(MONITOR.scores[0],) * 2))
    with pytest.raises(ContractError, match=r"monitor\.window"):
        replace(contract, monitor=replace(MONITOR, window=0)).to_json()
