"""One policy takes the place of another, whatever they are: no bump, no gap, and nothing of the one that left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from by_hand import ByHand
from chunk_models import Model, with_chunks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus_deploy.contracts.contract import Condition
from isthmus_deploy.contracts.monitor_data import Monitor, Score
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.chunk import ChunkDriver
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.chunk_inference import InLoop
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.supervisor import State, TransitionError

PERIOD_NS = 10_000_000
FRESH = {"joint_position": 0.0, "orientation": 0.0}
STANDBY = [0.1, -0.1]
KINDS = [("step", "chunk"), ("chunk", "step"), ("chunk", "chunk"), ("step", "step")]


class Steps:
    """A stand-in for a runtime: wants (2,) of how many steps its episode has had."""

    scores = None

    def __init__(self, contract, give):
        self.contract, self._give, self.digest = contract, give, 64 * "1"
        self.steps = 0

    def reset(self):
        self.steps = 0

    def step(self, signals):
        self.steps += 1
        return {"joint_command": np.array(self._give(self.steps - 1))}

    def conditions(self):
        return Conditions()


def driver(kind, contract, value, slope=0.0):
    """Who wants `value` and its opposite, and `slope` more in each tick of its episode, or of its chunk."""

    def wanted(tick):
        return [value + slope * tick, -value - slope * tick]

    if kind == "step":
        return StepDriver(Steps(contract, wanted))  # pyright: ignore[reportArgumentType]
    chunk = {"joint_command": np.array([wanted(tick) for tick in range(4)], np.float32)}
    return ChunkDriver(InLoop(Model(with_chunks(contract), lambda windows, begin: chunk)))


class Robot:
    """Ticks a controller at its period."""

    def __init__(self, drivers, make_signals, **options):
        self.controller, self.now, self.signals = PolicyController(drivers, **options), 0, make_signals(0.0, 0.0)

    def tick(self):
        """The hip's command."""
        return self.both()[0]

    def both(self):
        self.now += PERIOD_NS
        return self.controller.tick(self.signals, FRESH, self.now)["joint_command"].tolist()

    def rise(self):
        self.controller.arm(self.now)
        self.tick()

    def run(self, ticks=60):
        """From passive to what is wanted after so many ticks."""
        self.rise()
        self.controller.start(self.now)
        sent = [self.tick() for _ in range(ticks)]
        assert self.controller.state is State.RUNNING, self.controller.cause
        return sent[-1]

    @property
    def name(self):
        return self.controller.counters["policy"]


@pytest.fixture
def late(contract):
    """An inferer whose chunks come when the test says so."""
    return ByHand(with_chunks(contract))


@pytest.fixture
def waiting(contract, late, make_signals):
    """A robot that a step policy drives, at 0, and for which a policy of chunks was selected, in 0.1 s."""
    drivers = {"calm": driver("step", contract, 0.0), "keen": ChunkDriver(late)}
    robot = Robot(drivers, make_signals, ramp_s=0.1)
    assert robot.run() == pytest.approx(0.0)
    robot.controller.select("keen")
    return robot


def tenth():
    """A chunk of both joints at 0.1 rad."""
    return {"joint_command": np.full((4, 2), 0.1, np.float32)}


@pytest.mark.parametrize(("before", "after"), KINDS)
def test_one_takes_over_from_another_without_a_bump(contract, make_signals, before, after):
    drivers = {"calm": driver(before, contract, 0.0), "keen": driver(after, contract, 0.1)}
    robot = Robot(drivers, make_signals, ramp_s=0.1)
    assert robot.run() == pytest.approx(0.0)
    assert robot.controller.driver is drivers["calm"]
    robot.controller.select("keen")
    sent = np.array([robot.both() for _ in range(12)])
    np.testing.assert_allclose(sent[:, 0], [*(0.01 * index for index in range(11)), 0.1], atol=1e-8)
    np.testing.assert_allclose(sent[:, 1], -sent[:, 0], atol=1e-8)
    assert robot.controller.state is State.RUNNING
    assert (robot.name, robot.controller.driver) == ("keen", drivers["keen"])
    robot.controller.select("keen")  # it drives already
    assert robot.tick() == pytest.approx(0.1)
    robot.controller.select("calm")
    assert robot.tick() == pytest.approx(0.1)
    with pytest.raises(TransitionError, match="the one before is still handing over"):
        robot.controller.select("keen")
    assert robot.name == "calm"
    assert [robot.tick() for _ in range(10)][-1] == pytest.approx(0.0)


VALUES, SLOPES = st.floats(-0.5, 0.5), st.floats(-0.01, 0.01)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.sampled_from(KINDS), values=st.tuples(VALUES, VALUES), slopes=st.tuples(SLOPES, SLOPES),
    ramp=st.integers(10, 40), ticks=st.integers(0, 60),
)  # fmt: skip
def test_a_command_never_changes_faster_than_by_the_ramp_and_what_both_want(
    contract, make_signals, kinds, values, slopes, ramp, ticks
):
    """A blend changes by at most as much as either does, and the ramp's share of how far they are apart. The slope of
    a step policy goes on for so long that it is left out."""
    slopes = [slope if kind == "chunk" else 0.0 for kind, slope in zip(kinds, slopes, strict=True)]
    drivers = {
        name: driver(kind, contract, value, slope)
        for name, kind, value, slope in zip(("calm", "keen"), kinds, values, slopes, strict=True)
    }
    robot = Robot(drivers, make_signals, ramp_s=ramp * 0.01)
    robot.run(ramp + 20 + ticks)
    sent = [robot.both()]
    robot.controller.select("keen")
    sent += [robot.both() for _ in range(ramp + 5)]
    assert robot.name == "keen"
    assert robot.controller.state is State.RUNNING
    own = max(abs(slope) for slope in slopes)  # a chunk falls back by its slope when the next one comes
    apart = abs(values[0] - values[1]) + 2 * own
    assert np.abs(np.diff(sent, axis=0)).max() <= own + apart / ramp + 1e-6


def test_a_policy_of_chunks_takes_over_with_its_first_chunk(waiting, late):
    assert [waiting.tick() for _ in range(3)] == pytest.approx([0.0] * 3), "the one before drives on"
    assert waiting.name == "calm"
    assert waiting.controller.selected is waiting.controller.drivers["keen"]
    late.give(**tenth())
    sent = []
    for _ in range(11):
        sent.append(waiting.tick())
        if not late.free:
            late.give(**tenth())
    assert sent == pytest.approx([0.01 * index for index in range(11)], abs=1e-8)
    assert waiting.name == "keen"
    assert waiting.controller.state is State.RUNNING


def test_a_chunk_that_does_not_come_in_its_own_time_leaves_the_one_before(waiting, late):
    for _ in range(4):
        assert waiting.tick() == pytest.approx(0.0)
        assert waiting.controller.alarm is None
    assert [waiting.tick() for _ in range(20)] == pytest.approx([0.0] * 20)
    assert waiting.controller.state is State.RUNNING
    assert waiting.name == "calm"
    assert "the policy keen did not take over: no chunk reaches tick 4" in (waiting.controller.alarm or "")
    assert "0.04 s so far, tolerated are 0.02 s" in (waiting.controller.alarm or "")
    waiting.controller.select("keen")
    assert waiting.controller.alarm is None
    late.give(late.jobs[0], joint_command=np.full((4, 2), 0.5, np.float32))
    assert waiting.tick() == pytest.approx(0.0), "the chunk of the attempt before is refused"
    late.give(**tenth())
    waiting.tick()
    assert waiting.name == "keen"
    assert waiting.controller.counters["refused_chunks"] == 1


def test_an_inference_that_raises_leaves_the_one_before(contract, make_signals):
    def give(windows, begin):
        raise RuntimeError("out of memory")

    other = ChunkDriver(InLoop(Model(with_chunks(contract), give)))
    robot = Robot({"calm": driver("step", contract, 0.0), "keen": other}, make_signals, ramp_s=0.1)
    robot.run()
    robot.controller.select("keen")
    assert robot.tick() == pytest.approx(0.0)
    assert (robot.controller.state, robot.name) == (State.RUNNING, "calm")
    assert (
        robot.controller.alarm
    ) == "the policy keen did not take over: the inference failed: RuntimeError: out of memory"


def test_who_drives_and_lacks_a_chunk_is_a_fault_also_while_another_is_waited_for(contract, make_signals):
    old, new = ByHand(with_chunks(contract)), ByHand(with_chunks(contract))
    robot = Robot({"calm": ChunkDriver(old), "keen": ChunkDriver(new)}, make_signals, ramp_s=0.0)
    robot.rise()
    robot.controller.start(robot.now)
    robot.tick()
    old.give()
    robot.tick()
    robot.controller.select("keen")
    for _ in range(3):
        robot.tick()
    assert robot.controller.state is State.FAULT
    assert "no chunk reaches tick 4" in (robot.controller.cause or "")


def test_the_one_that_leaves_is_run_until_it_has_no_share_and_its_late_chunk_is_refused(contract, late, make_signals):
    drivers = {"calm": ChunkDriver(late), "keen": driver("step", contract, 0.1)}
    robot = Robot(drivers, make_signals, ramp_s=0.03)
    robot.rise()
    robot.controller.start(robot.now)
    for _ in range(8):
        robot.tick()
        if not late.free:
            late.give()
    robot.controller.select("keen")
    for _ in range(8):
        robot.tick()
        if not late.free and len(late.jobs) < 6:
            late.give()
    assert robot.tick() == pytest.approx(0.1)
    assert not late.free, "an inference is still under way"
    robot.controller.select("calm")
    late.give(joint_command=np.full((4, 2), 0.5, np.float32))
    assert robot.tick() == pytest.approx(0.1)
    assert robot.name == "keen"
    assert drivers["calm"].refused_chunks == 1
    late.give()
    robot.tick()
    assert robot.name == "calm"
    assert late.jobs[-1].request.tick == 0, "its episode begins anew"


def test_the_one_before_is_selected_back_while_the_other_is_waited_for(waiting, late):
    waiting.tick()
    waiting.controller.select("calm")
    late.give(**tenth())
    assert [waiting.tick() for _ in range(9)] == pytest.approx([0.0] * 9)
    assert (waiting.name, waiting.controller.alarm) == ("calm", None)


@pytest.mark.parametrize("armed", [False, True])
def test_one_is_selected_before_the_robot_moves(contract, make_signals, armed):
    drivers = {"calm": driver("step", contract, 0.0), "keen": driver("chunk", contract, 0.05)}
    robot = Robot(drivers, make_signals, ramp_s=0.02)
    if armed:
        robot.rise()
    robot.controller.select("keen")
    assert robot.name == "keen"
    if armed:
        assert robot.both() == pytest.approx(STANDBY)
        robot.controller.stop(robot.now)
        robot.tick()
        robot.controller.reset(robot.now)
    assert robot.run() == pytest.approx(0.05)


@pytest.mark.parametrize("end", ["stop", "fault"])
def test_who_was_selected_drives_from_the_next_start_on_where_the_robot_was_stopped_before(waiting, late, end):
    causes = ("operator lost",) if end == "fault" else ()
    getattr(waiting.controller, end)(waiting.now, *causes)
    waiting.tick()
    assert waiting.name == "keen"
    waiting.controller.reset(waiting.now)
    waiting.rise()
    waiting.controller.start(waiting.now)
    assert waiting.both() == pytest.approx(STANDBY), "its first chunk is waited for in stand-by"
    late.give(**tenth())
    waiting.tick()
    assert waiting.controller.driver.taken_chunks == 1


def test_a_stop_in_the_middle_ends_the_hand_over(contract, make_signals):
    robot = Robot(
        {"calm": driver("step", contract, 0.0), "keen": driver("step", contract, 0.1)}, make_signals, ramp_s=0.1
    )
    robot.run()
    robot.controller.select("keen")
    robot.tick()
    robot.controller.stop(robot.now)
    robot.tick()
    robot.controller.reset(robot.now)
    robot.controller.select("calm")
    assert robot.run() == pytest.approx(0.0)


MONITOR = Monitor(
    scores=(Score(name="novelty", description="new", threshold=1.0),), window=2, false_alarms=0.1, episodes=40
)


class Watched:
    """A policy of chunks with a monitor; `score` is what that gives next."""

    def __init__(self, contract):
        self.score = 0.0
        own = replace(with_chunks(contract), monitor=MONITOR)
        self.model = Model(own, lambda windows, begin: tenth(), lambda windows: np.array([self.score]))
        self.driver = ChunkDriver(InLoop(self.model))


def test_a_monitor_begins_with_its_policy_and_speaks_for_it_alone(contract, make_signals):
    old, new = Watched(contract), Watched(contract)
    robot = Robot({"calm": old.driver, "keen": new.driver}, make_signals, ramp_s=0.05)
    robot.run()
    old.score = 5.0
    for _ in range(6):
        robot.tick()
    assert "novelty 5, threshold 1" in (robot.controller.alarm or "")
    robot.controller.select("keen")
    robot.tick()
    assert robot.controller.alarm is None
    assert robot.controller.counters["monitor_alarm"] is False
    assert "monitor_novelty" not in robot.controller.counters, "its window is not full"
    new.score = 3.0
    for _ in range(8):
        robot.tick()
    assert "novelty 3, threshold 1" in (robot.controller.alarm or "")


def test_every_policy_is_watched_where_an_alarm_shall_do_something(contract):
    drivers = {"calm": Watched(contract).driver, "keen": driver("step", contract, 0.0)}
    with pytest.raises(ValueError, match="the policy keen has no monitor"):
        PolicyController(drivers, on_alarm="stop")


def test_the_conditions_of_who_takes_over_hold_from_then_on(contract, late, make_signals):
    late.model.conditions = lambda: Conditions(
        (Condition(name="tilt", unit="rad", description="leans little", holds=("driven",)),),
        lambda signals: np.array([-1.0]),
    )
    robot = Robot({"calm": driver("step", contract, 0.0), "keen": ChunkDriver(late)}, make_signals, ramp_s=0.1)
    robot.run()
    robot.controller.select("keen")
    robot.tick()
    assert robot.controller.state is State.RUNNING, "the one before drives, and has no such condition"
    late.give(**tenth())
    robot.tick()
    robot.tick()
    assert robot.controller.state is State.FAULT
    assert (robot.controller.cause or "").startswith("tilt: 1 rad beyond")


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        ({"robot": "three_joints"}, "robot"),
        ({"control_period_s": 0.02}, "control_period_s"),
        ({"commands": "max_rate"}, "commands"),
        ({"signals": "max_age_s"}, "joint_position"),
    ],
)
@pytest.mark.parametrize("kind", ["step", "chunk"])
def test_one_for_another_robot_rate_or_readings_is_refused(contract, change, kind, changed, differing):
    if "commands" in changed:
        other = change("commands", 0, max_rate=(1.0, 1.0))
    elif "signals" in changed:
        other = change("signals", 0, max_age_s=0.5)
    else:
        other = replace(contract, **changed)
    drivers = {"calm": driver("chunk", contract, 0.0), "keen": driver(kind, other, 0.0)}
    reason = f"the policy keen cannot take the first one's place: it differs in {differing}"
    with pytest.raises(ValueError, match=reason):
        PolicyController(drivers)


def test_one_that_needs_less_may_take_the_place_and_one_that_needs_more_may_not(contract):
    less = replace(contract, signals=contract.signals[:2])
    PolicyController({"calm": driver("step", contract, 0.0), "keen": driver("chunk", less, 0.0)})
    with pytest.raises(ValueError, match="it differs in goal"):
        PolicyController({"keen": driver("chunk", less, 0.0), "calm": driver("step", contract, 0.0)})
