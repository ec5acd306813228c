"""The safety chain as a whole: what is sent in every state, and what trips it."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.policy_file import ReplayStep, seal
from isthmus_deploy.runtime import Runtime
from isthmus_deploy.supervisor import State, TransitionError

PERIOD_NS = 10_000_000
FRESH = {"joint_position": 0.0, "orientation": 0.0}
SAFE = [0.0, 0.0]
STANDBY = [0.1, -0.1]


class Robot:
    """Ticks a controller at its period with readings that may be replaced."""

    def __init__(self, controller, make_signals):
        self.controller, self.now, self.make_signals = controller, 0, make_signals

    def tick(self, hip=0.0, knee=0.0, ages=FRESH, **other):
        signals = {**self.make_signals(hip, knee), **other}
        sent = self.controller.tick(signals, ages, self.now)["joint_command"].tolist()
        self.now += PERIOD_NS
        return sent

    def run_to(self, state):
        """Bring the controller from idle to this state."""
        self.controller.arm(self.now)
        self.tick()
        if state in (State.RAMP_IN, State.RUNNING):
            self.controller.start(self.now)
            self.tick()
        while self.controller.state is not state:
            self.tick()


@pytest.fixture
def controller(runtime):
    return PolicyController(runtime, ramp_s=0.1)


@pytest.fixture
def robot(controller, make_signals):
    return Robot(controller, make_signals)


def test_idle_and_stopped_send_the_safe_command_whatever_the_sensors_say(robot):
    assert robot.tick(np.nan, np.inf, ages={}) == SAFE
    robot.run_to(State.RUNNING)
    robot.controller.stop(robot.now, "landed")
    assert robot.tick(np.nan, np.inf, ages={}) == SAFE
    assert (robot.controller.state, robot.controller.cause) == (State.STOPPED, "landed")


def test_standby_is_approached_at_the_rate_limit(robot, controller, change, make_model, replay, tmp_path, make_signals):
    robot.run_to(State.STANDBY)
    assert robot.tick() == pytest.approx(STANDBY)
    path = tmp_path / "far.onnx"
    path.write_bytes(seal(make_model(), change("commands", 0, standby=(1.0, -0.5)), replay))
    far = Robot(PolicyController(Runtime(path)), make_signals)
    far.controller.arm(0)
    assert [far.tick()[0] for _ in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_policy_is_blended_in(robot):
    """Ten periods of ramp from stand-by 0.1 to the policy's 0.5·0.4 = 0.2 (and, after three steps, 0.4 more)."""
    robot.run_to(State.STANDBY)
    started = robot.now
    robot.controller.start(started)
    assert [robot.tick(0.4)[0] for _ in range(3)] == pytest.approx([0.1, 0.11, 0.12])
    assert robot.tick(0.4)[0] == pytest.approx(0.1 + 0.3 * (0.6 - 0.1))
    while robot.controller.state is State.RAMP_IN:
        robot.tick(0.4)
    assert robot.controller.state is State.RUNNING
    assert robot.now - PERIOD_NS == started + 10 * PERIOD_NS
    assert robot.tick(0.4)[0] == pytest.approx(0.6)


def test_start_resets_the_memory(robot):
    robot.run_to(State.STANDBY)
    robot.controller.start(robot.now)
    for _ in range(15):
        robot.tick(0.4)
    assert robot.tick(0.4)[0] == pytest.approx(0.6)
    robot.controller.stop(robot.now)
    robot.controller.reset(robot.now)
    robot.run_to(State.STANDBY)
    robot.controller.start(robot.now)
    robot.tick(0.4)
    assert robot.tick(0.4)[0] == pytest.approx(0.1 + 0.1 * (0.2 - 0.1))


@pytest.mark.parametrize("state", [State.STANDBY, State.RAMP_IN, State.RUNNING])
@pytest.mark.parametrize(
    ("reading", "cause"),
    [
        ({"hip": np.nan}, "joint_position.hip: not finite (nan)"),
        ({"knee": 0.4}, "joint_position.knee: jumped by 0.4 (at most 0.25 a period)"),
        ({"hip": 3.5}, "joint_position.hip: 3.5 is outside [-3, 3]"),
        ({"ages": {**FRESH, "orientation": 0.06}}, "orientation: stale, 0.06 s old (at most 0.05 s)"),
        ({"orientation": np.zeros(4)}, "orientation: not a unit quaternion, norm 0"),
    ],
)
def test_a_bad_reading_gives_the_safe_command_in_the_same_tick(robot, state, reading, cause):
    robot.run_to(state)
    assert robot.tick(**reading) == SAFE
    assert (robot.controller.state, robot.controller.cause) == (State.FAULT, cause)
    assert robot.tick() == SAFE
    assert robot.controller.cause == cause


def test_a_policy_that_gives_no_number_is_stopped(change, make_model, tmp_path, make_signals):
    """With a gain of 3e38 and no limit, a position of 1.2 rad is past the largest float32."""
    huge = (3e38, 3e38)
    contract = change("commands", 0, minimum=(-3e38, -3e38), maximum=huge, max_rate=huge)
    command = np.array([0.25, 0.5], np.float32) * np.float32(3e38)
    replay = [ReplayStep(reset=True, signals=make_signals(0.25, 0.5), commands={"joint_command": command})]
    path = tmp_path / "overflow.onnx"
    path.write_bytes(seal(make_model(gain=3e38, limit=(np.inf, np.inf)), contract, replay))
    robot = Robot(PolicyController(Runtime(path), ramp_s=0.0), make_signals)
    robot.run_to(State.RUNNING)
    assert robot.tick(0.4) != SAFE
    assert robot.tick(0.8) != SAFE
    assert robot.tick(1.2) == SAFE
    assert (robot.controller.state, robot.controller.cause) == (State.FAULT, "joint_command.hip: the policy gave inf")


def test_after_a_fault_one_must_reset_and_arm_again(robot):
    robot.run_to(State.RUNNING)
    robot.tick(np.nan)
    for request in (robot.controller.arm, robot.controller.start):
        with pytest.raises(TransitionError, match="in state fault; allowed here: reset"):
            request(robot.now)
    robot.controller.reset(robot.now)
    assert robot.tick(2.0) == SAFE
    robot.controller.arm(robot.now)
    assert robot.tick(2.0) == pytest.approx(STANDBY)


def test_arming_starts_from_the_safe_command_not_from_the_last_flight(robot):
    robot.run_to(State.RUNNING)
    for _ in range(6):
        robot.tick(0.4)
    robot.controller.stop(robot.now)
    robot.controller.reset(robot.now)
    robot.controller.arm(robot.now)
    assert robot.tick(0.4) == pytest.approx(STANDBY)


def test_a_fault_from_outside_stops_too(robot):
    robot.run_to(State.RUNNING)
    robot.controller.fault(robot.now, "operator lost")
    assert robot.tick() == SAFE
    assert robot.controller.cause == "operator lost"


def test_counters_add_up(robot):
    robot.run_to(State.RUNNING)
    before = robot.controller.rate_limited_steps
    robot.tick(0.0, 0.0)
    assert robot.controller.rate_limited_steps == before
    robot.tick(0.5, 0.0)
    assert robot.controller.rate_limited_steps == before + 1
    assert robot.controller.clipped_steps == 0


def test_the_safe_command_cannot_be_changed_by_who_sends_it(robot):
    with pytest.raises(ValueError, match="read-only"):
        robot.controller.tick({}, {}, 0)["joint_command"][0] = 1.0


def within_rate(sent, last):
    """20 and 10 rad/s at 100 Hz."""
    return bool((np.abs(sent - np.array(last)) <= np.array([0.2, 0.1]) * (1 + 1e-12)).all())


READINGS = st.floats(-4.0, 4.0) | st.sampled_from([np.nan, np.inf, 0.0])
EVENTS = st.sampled_from(["arm", "start", "stop", "reset", "tick", "tick", "tick"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(EVENTS, READINGS, READINGS, st.floats(0.0, 0.06)), max_size=40))
def test_nothing_unsafe_is_ever_sent(runtime, make_signals, events):
    """Finite, in range, and the safe command or within the rate of it or of what was sent before."""
    robot = Robot(PolicyController(runtime, ramp_s=0.02), make_signals)
    last = np.array(SAFE)
    for name, hip, knee, age in events:
        if name != "tick":
            request(robot.controller, name, robot.now)
            continue
        sent = np.array(robot.tick(hip, knee, ages=dict.fromkeys(FRESH, age)))
        assert np.isfinite(sent).all()
        assert (np.abs(sent) <= [2.0, 1.0]).all()
        active = robot.controller.state in (State.STANDBY, State.RAMP_IN, State.RUNNING)
        assert active or sent.tolist() == SAFE
        assert not active or within_rate(sent, last) or within_rate(sent, SAFE)
        last = sent


def request(controller, name, now):
    """Call the method; whether it fits the state is not the point here."""
    with contextlib.suppress(TransitionError):
        getattr(controller, name)(now)
