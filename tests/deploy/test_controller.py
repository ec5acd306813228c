"""The safety chain as a whole: what is sent in every state, and what trips it."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.chain import SafetyChain
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.supervisor import State, TransitionError

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
    return PolicyController({"policy": StepDriver(runtime)}, ramp_s=0.1)


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
    robot.run_to(State.READY)
    assert robot.tick() == pytest.approx(STANDBY)
    path = tmp_path / "far.onnx"
    path.write_bytes(seal(make_model(), change("commands", 0, standby=(1.0, -0.5)), replay))
    far = Robot(PolicyController({"policy": StepDriver(Runtime(path))}), make_signals)
    far.controller.arm(0)
    assert [far.tick()[0] for _ in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_the_policy_is_blended_in(robot):
    """Ten periods of ramp from stand-by 0.1 to the policy's 0.5·0.4 = 0.2 (and, after three steps, 0.4 more)."""
    robot.run_to(State.READY)
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
    robot.run_to(State.READY)
    robot.controller.start(robot.now)
    for _ in range(15):
        robot.tick(0.4)
    assert robot.tick(0.4)[0] == pytest.approx(0.6)
    robot.controller.stop(robot.now)
    robot.tick()
    robot.controller.reset(robot.now)
    robot.run_to(State.READY)
    robot.controller.start(robot.now)
    robot.tick(0.4)
    assert robot.tick(0.4)[0] == pytest.approx(0.1 + 0.1 * (0.2 - 0.1))


@pytest.mark.parametrize("state", [State.READY, State.RAMP_IN, State.RUNNING])
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
    robot = Robot(PolicyController({"policy": StepDriver(Runtime(path))}, ramp_s=0.0), make_signals)
    robot.run_to(State.RUNNING)
    assert robot.tick(0.4) != SAFE
    assert robot.tick(0.8) != SAFE
    assert robot.tick(1.2) == SAFE
    assert (robot.controller.state, robot.controller.cause) == (State.FAULT, "joint_command.hip: asked for inf")


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
    assert robot.tick(0.4) == SAFE
    robot.controller.reset(robot.now)
    robot.controller.arm(robot.now)
    assert robot.tick(0.4) == pytest.approx(STANDBY)


@pytest.mark.parametrize("end", ["stop", "damp", "fault", "disarm"])
def test_nobody_is_passive_before_the_robot_was_sent_what_it_rests_at(robot, end):
    robot.run_to(State.RUNNING)
    assert robot.tick(0.4) != SAFE
    causes = ("operator lost",) if end == "fault" else ()
    getattr(robot.controller, end)(robot.now, *causes)
    with pytest.raises(TransitionError, match="cannot reset yet: the robot is stopped with the next control period"):
        robot.controller.reset(robot.now)
    assert robot.tick(0.4) == SAFE
    assert robot.controller.state is not State.PASSIVE, "who is passive sends nothing, so this one was sent"
    if end == "disarm":
        robot.tick(0.4)
    else:
        robot.controller.reset(robot.now)
    assert robot.controller.state is State.PASSIVE


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


def test_the_policy_sees_only_goals_that_it_was_trained_for(change, make_model, replay, tmp_path, make_signals):
    """Trained to 0.125, plausible to 1: the first is what it gets of 0.9; beyond the second is a fault, as is nan."""
    contract = change("signals", 2, trained_minimum=(-0.5,), trained_maximum=(0.125,))
    path = tmp_path / "trained.onnx"
    path.write_bytes(seal(make_model(), contract, replay))
    robot = Robot(PolicyController({"policy": StepDriver(Runtime(path))}, ramp_s=0.0), make_signals)
    robot.run_to(State.RUNNING)
    assert robot.tick(goal=np.array([0.1])) == pytest.approx([0.1, 0.1])
    assert robot.controller.clamped_goals == 0
    for _ in range(3):
        assert robot.tick(goal=np.array([0.9])) == pytest.approx([0.125, 0.125])
    assert robot.controller.clamped_goals == 3
    assert robot.tick(goal=np.array([1.1])) == SAFE
    assert robot.controller.cause == "goal.offset: 1.1 is outside [-1, 1]"
    robot.controller.reset(robot.now)
    robot.run_to(State.RUNNING)
    assert robot.tick(goal=np.array([np.nan])) == SAFE
    assert robot.controller.cause == "goal.offset: not finite (nan)"


def test_the_safe_command_cannot_be_changed_by_who_sends_it(robot):
    with pytest.raises(ValueError, match="read-only"):
        robot.controller.tick({}, {}, 0)["joint_command"][0] = 1.0


# --- commands with a transition rate ---

RATE = np.array([2.0, 1.0])  # rad/s: 0.02 and 0.01 rad a period
LYING = [0.5, 0.25]
UP, DOWN = np.array([0.125, -0.0625]), np.array([0.4, 0.3])


@pytest.fixture
def slow_runtime(change, make_model, replay, tmp_path):
    """Of a policy for a robot that stands up at 0.02 and 0.01 rad a period, and lies down to 0.4 and 0.3 rad."""
    contract = change("commands", 0, safe=tuple(DOWN), standby=tuple(UP), transition_rate=tuple(RATE))
    path = tmp_path / "slow.onnx"
    path.write_bytes(seal(make_model(), contract, replay))
    return Runtime(path)


@pytest.fixture
def slow(slow_runtime, make_signals):
    """A robot that lies at `LYING`; its policy takes over at once."""
    robot = Robot(PolicyController({"policy": StepDriver(slow_runtime)}, ramp_s=0.0), make_signals)
    robot.tick(*LYING)
    return robot


def stand_up(robot):
    """Arm, and tick until stand-by is reached; what was sent, (n, 2)."""
    robot.controller.arm(robot.now)
    return until(UP, lambda: robot.tick(*LYING))


def lie_down(robot, **reading):
    """Tick until the safe command is sent; what was sent, (n, 2)."""
    return until(DOWN, lambda: robot.tick(**reading))


def until(target, tick):
    """Tick until `target` is sent; what was sent, (n, 2)."""
    sent = [tick()]
    while sent[-1] != target.tolist():
        sent.append(tick())
        assert len(sent) < 100, "it does not get there"
    return np.array(sent)


def test_standing_up_starts_where_the_robot_is_and_goes_straight_at_the_rate(slow):
    """0.375 rad at 2 rad/s and 0.3125 rad at 1 rad/s: the knee needs 31.25 periods, and the hip takes as long."""
    sent = stand_up(slow)
    assert len(sent) == 32
    steps = np.diff(np.vstack([LYING, sent]), axis=0)
    np.testing.assert_allclose(steps[:31], np.tile((UP - LYING) / 31.25, (31, 1)), atol=1e-12)
    assert slow.controller.rate_limited_steps == 0


def test_standing_up_starts_inside_the_commands_range(slow):
    slow.controller.arm(slow.now)
    assert slow.tick(0.4, -1.1)[1] == pytest.approx(-1.0 + 0.01), "the range ends at -1"


def test_start_waits_for_the_end_of_standing_up(slow):
    slow.controller.arm(slow.now)
    with pytest.raises(TransitionError, match="cannot start yet: the transition to stand-by begins with the next"):
        slow.controller.start(slow.now)
    for _ in range(12):
        slow.tick(*LYING)
    with pytest.raises(TransitionError, match=r"cannot start yet: stand-by is reached in 0\.19 s"):
        slow.controller.start(slow.now)
    assert slow.controller.state is State.STAND_UP
    for _ in range(20):
        slow.tick(*LYING)
    assert slow.controller.state is State.READY
    slow.controller.start(slow.now)
    slow.tick(*LYING)
    assert slow.controller.state is State.RUNNING


@pytest.mark.parametrize(
    "reading",
    [
        {},
        {"hip": np.nan},
        {"ages": {"joint_position": 9.0, "orientation": 9.0}},
        {"orientation": np.zeros(4), "ages": {}},
    ],
)
@pytest.mark.parametrize("stop", [True, False])
def test_it_lies_down_slowly_from_the_last_command_whatever_the_sensors_say(slow, reading, stop):
    stand_up(slow)
    slow.controller.start(slow.now)
    last = [slow.tick(*LYING) for _ in range(10)][-1]
    if stop:
        slow.controller.stop(slow.now)
    else:
        slow.controller.fault(slow.now, "operator lost")
    assert not slow.controller.may_end
    sent = np.vstack([last, lie_down(slow, **reading)])
    left = np.abs(sent - DOWN)
    assert (np.diff(left, axis=0) <= 0).all(), "towards safe only, from the first period on"
    assert (np.abs(np.diff(sent, axis=0)) <= RATE * 0.01 * (1 + 1e-9)).all()
    assert len(sent) - 1 == np.ceil((left[0] / (RATE * 0.01)).max())
    assert slow.controller.may_end
    assert slow.tick(np.nan, ages={}) == DOWN.tolist()


@pytest.fixture
def ramped(slow_runtime, make_signals):
    """A robot that stands up and lies down slowly, and takes 0.1 s to hand over."""
    return Robot(PolicyController({"policy": StepDriver(slow_runtime)}, ramp_s=0.1), make_signals)


def test_a_stop_hands_over_to_stand_by_before_it_lies_down(ramped):
    stand_up(ramped)
    ramped.controller.start(ramped.now)
    while ramped.controller.state is not State.RUNNING:
        driven = ramped.tick(*LYING)
    ramped.controller.stop(ramped.now, "enough")
    sent = [driven]
    while ramped.controller.state is State.RAMP_OUT:
        sent.append(ramped.tick(*LYING))
    assert 10 <= len(sent) <= 12, "0.1 s of 10 ms"
    distances = np.abs(np.array(sent) - UP)
    assert (np.diff(distances, axis=0) <= 1e-9).all(), "towards stand-by only"
    np.testing.assert_allclose(sent[-1], UP, atol=1e-9)
    assert (ramped.controller.state, ramped.controller.cause) == (State.STOPPED, "enough")
    lie_down(ramped)


def test_a_sensor_that_fails_in_the_ramp_out_is_a_fault(ramped):
    stand_up(ramped)
    ramped.controller.start(ramped.now)
    ramped.tick(*LYING)
    ramped.controller.stop(ramped.now, "enough")
    ramped.tick(np.nan)
    assert ramped.controller.state is State.FAULT
    lie_down(ramped)


def test_an_emergency_stop_damps_it_where_it_is(ramped):
    stand_up(ramped)
    ramped.controller.start(ramped.now)
    ramped.tick(*LYING)
    ramped.controller.damp(ramped.now)
    for place in ([0.3, -0.2], [0.35, -0.25]):
        np.testing.assert_allclose(ramped.tick(*place), place, rtol=1e-6)
    np.testing.assert_allclose(ramped.tick(np.nan, -0.3), [0.35, -0.3], rtol=1e-6)  # keeps what it cannot see
    assert (ramped.controller.state, ramped.controller.cause) == (State.DAMPING, "emergency stop")
    assert ramped.controller.may_end
    np.testing.assert_allclose(ramped.controller.last_commands["joint_command"], [0.35, -0.3], rtol=1e-6)
    ramped.controller.reset(ramped.now)
    assert ramped.controller.state is State.PASSIVE


class Leans(Conditions):
    """A condition that is broken when it is told so."""

    fallen = False

    def judge(self, signals, phase):
        return "tilt: 0.3 rad beyond what training had" if self.fallen else None


def test_a_robot_that_has_fallen_is_damped_and_not_driven_to_a_pose(slow_runtime, make_signals):
    conditions = Leans()
    chain = SafetyChain(slow_runtime.contract, conditions=conditions, ramp_s=0.0)

    def tick(place):
        return chain.drive(make_signals(*place), FRESH, 0, lambda: None)["joint_command"]

    chain.arm(0)
    tick(LYING)
    conditions.fallen = True
    near = [LYING[0] - 0.01, LYING[1] - 0.02]
    np.testing.assert_allclose(tick(near), near, rtol=1e-6)
    assert chain.state is State.FAULT
    assert "tilt" in (chain.cause or "")
    np.testing.assert_allclose(tick([0.1, 0.1]), [0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(chain.last_commands["joint_command"], [0.1, 0.1], rtol=1e-6)
    chain.reset(0)
    conditions.fallen = False
    chain.arm(0)
    tick(LYING)
    chain.fault(0, "operator lost")
    assert np.abs(tick([0.1, 0.1]) - DOWN).max() < np.abs(LYING - DOWN).max(), "this one lies down as before"


def test_an_emergency_stop_of_what_is_quick_is_its_safe_command(robot):
    robot.run_to(State.RUNNING)
    robot.controller.damp(robot.now)
    assert robot.tick() == SAFE
    assert robot.controller.last_commands["joint_command"].tolist() == SAFE


def test_disarming_lays_it_down_and_leaves_it(ramped):
    with pytest.raises(TransitionError, match="cannot reset in state passive"):
        ramped.controller.disarm(ramped.now)
    stand_up(ramped)
    ramped.controller.disarm(ramped.now)
    lie_down(ramped)
    assert ramped.controller.state is State.STOPPED, "or the last of the way would not be sent"
    ramped.tick()
    assert ramped.controller.state is State.PASSIVE


def test_a_fault_is_latched_through_a_disarming(ramped):
    stand_up(ramped)
    ramped.controller.disarm(ramped.now)
    ramped.controller.fault(ramped.now, "operator lost")
    lie_down(ramped)
    ramped.tick()
    assert (ramped.controller.state, ramped.controller.cause) == (State.FAULT, "operator lost")


def test_a_sensor_that_falls_silent_lays_it_down(slow):
    stand_up(slow)
    sent = slow.tick(*LYING, ages={**FRESH, "orientation": 0.06})
    assert slow.controller.state is State.FAULT
    assert (np.abs(sent - DOWN) < np.abs(UP - DOWN)).all(), "in the very tick that found it"
    assert lie_down(slow, ages={})[-1].tolist() == DOWN.tolist()


def test_reset_waits_for_the_end_of_lying_down(slow):
    stand_up(slow)
    slow.controller.stop(slow.now)
    slow.tick()
    with pytest.raises(TransitionError, match=r"cannot reset yet: the safe command is reached in 0\.35 s"):
        slow.controller.reset(slow.now)
    lie_down(slow)
    slow.controller.reset(slow.now)
    assert slow.controller.state is State.PASSIVE
    assert len(stand_up(slow)) == 32, "and stands up again from where it lies, not from where it stood"


def test_a_bad_first_reading_lies_down_from_where_the_robot_plausibly_is(slow):
    slow.controller.arm(slow.now)
    near = slow.tick(*LYING, orientation=np.zeros(4))
    assert slow.controller.state is State.FAULT
    np.testing.assert_allclose(near, LYING, atol=0.02)
    lie_down(slow)
    slow.controller.reset(slow.now)
    slow.controller.arm(slow.now)
    assert slow.tick(0.4, np.inf) == DOWN.tolist(), "an implausible position says nothing of where it is"


def test_stopping_before_anything_was_sent_leaves_it_where_safe_is(slow):
    slow.controller.arm(slow.now)
    slow.controller.stop(slow.now)
    assert slow.controller.may_end
    assert slow.tick(*LYING) == DOWN.tolist()


def test_without_a_transition_rate_the_safe_command_may_be_sent_at_any_time(robot):
    robot.run_to(State.RUNNING)
    for _ in range(5):
        robot.tick(0.4)
    assert robot.controller.may_end


def within_rate(sent, last):
    """20 and 10 rad/s at 100 Hz."""
    return bool((np.abs(sent - np.array(last)) <= np.array([0.2, 0.1]) * (1 + 1e-12)).all())


READINGS = st.floats(-4.0, 4.0) | st.sampled_from([np.nan, np.inf, 0.0])
EVENTS = st.sampled_from(["arm", "start", "stop", "reset", "tick", "tick", "tick"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(EVENTS, READINGS, READINGS, st.floats(0.0, 0.06)), max_size=40))
def test_nothing_unsafe_is_ever_sent(runtime, make_signals, events):
    """Finite, in range, and the safe command or within the rate of it or of what was sent before."""
    robot = Robot(PolicyController({"policy": StepDriver(runtime)}, ramp_s=0.02), make_signals)
    last = np.array(SAFE)
    for name, hip, knee, age in events:
        if name != "tick":
            request(robot.controller, name, robot.now)
            continue
        sent = np.array(robot.tick(hip, knee, ages=dict.fromkeys(FRESH, age)))
        assert np.isfinite(sent).all()
        assert (np.abs(sent) <= [2.0, 1.0]).all()
        active = robot.controller.state in (State.READY, State.RAMP_IN, State.RUNNING)
        assert active or sent.tolist() == SAFE
        assert not active or within_rate(sent, last) or within_rate(sent, SAFE)
        last = sent


def request(controller, name, now):
    """Call the method; whether it fits the state is not the point here."""
    with contextlib.suppress(TransitionError):
        getattr(controller, name)(now)


@pytest.fixture
def failing(tmp_path, contract, make_model) -> PolicyController:
    """Its graph looks up a place that is not there when the goal is far from zero."""
    model = onnx.load_from_string(make_model())
    graph = model.graph
    constants = {"many": np.float32(10.0), "none": np.zeros(1, np.float32)}
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    lookup = [
        onnx.helper.make_node("Mul", ["goal", "many"], ["far"]),
        onnx.helper.make_node("Cast", ["far"], ["place"], to=onnx.TensorProto.INT64),
        onnx.helper.make_node("Gather", ["none", "place"], ["nothing"]),
        onnx.helper.make_node("Add", ["nothing", "goal"], ["looked_up"]),
    ]
    user = next(node for node in graph.node if "goal" in node.input)
    user.input[list(user.input).index("goal")] = "looked_up"
    nodes = [*lookup, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    path = tmp_path / "failing.onnx"
    signals = {item.name: np.zeros(item.shape, np.float32) for item in contract.signals}
    still = ReplayStep(reset=True, signals=signals, commands={"joint_command": np.zeros(2, np.float32)})
    path.write_bytes(seal(model.SerializeToString(), contract, (still,)))
    return PolicyController({"policy": StepDriver(Runtime(path))}, ramp_s=0.0)


def test_a_graph_that_cannot_be_computed_is_a_fault_that_says_so(failing, make_signals):
    robot = Robot(failing, make_signals)
    robot.run_to(State.RUNNING)
    assert robot.tick(goal=np.array([0.9], np.float32)) == SAFE
    assert failing.state is State.FAULT
    assert "ONNX Runtime cannot compute the policy" in failing.cause
    assert robot.tick() == SAFE  # until somebody resets it


def test_what_would_trip_it_at_once_is_known_before_it_is_armed(robot, make_signals):
    chain = robot.controller
    assert chain.problem(make_signals(0.0, 0.0), FRESH) is None
    assert "stale, 5 s old" in chain.problem(make_signals(0.0, 0.0), {**FRESH, "joint_position": 5.0})
    assert "joint_position.hip" in chain.problem(make_signals(9.0, 0.0), FRESH)
    # Asking leaves nothing behind: where the joints are when it is armed is no jump.
    assert chain.problem(make_signals(2.0, 0.0), FRESH) is None
    robot.run_to(State.READY)
    assert chain.state is State.READY
    # And a run leaves nothing behind: whoever carries the robot away does not make it jump.
    chain.stop(robot.now)
    robot.tick()
    chain.reset(robot.now)
    assert chain.problem(make_signals(-2.0, 0.0), FRESH) is None
