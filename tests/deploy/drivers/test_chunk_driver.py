"""A policy of chunks that drives: which action is sent when, and what becomes of chunks that go wrong."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import onnxruntime
import pytest
from by_hand import ByHand, hundredths
from chunk_models import Model, with_chunks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from isthmus_deploy.chunk_executor import Request
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.chunk import ChunkDriver
from isthmus_deploy.policy.chunk_inference import InLoop, WorkerThread
from isthmus_deploy.safety.supervisor import State, TransitionError
from isthmus_deploy.timing.loop import ControlLoop

PERIOD_NS = 10_000_000
FRESH = {"joint_position": 0.0, "orientation": 0.0}
SAFE = [0.0, 0.0]
STANDBY = [0.1, -0.1]
LONG_S = 60.0


def chunks(inferer, **options):
    """The safety chain that a policy of chunks drives."""
    return PolicyController({"policy": ChunkDriver(inferer)}, **options)


class Robot:
    """Ticks a controller, at its period unless told otherwise."""

    def __init__(self, controller, make_signals):
        self.controller, self.make_signals, self.now = controller, make_signals, 0

    def tick(self, hip=0.0, goal=0.0, periods=1):
        """The hip's command, `periods` after the last tick."""
        return self.both(hip, goal, periods)[0]

    def both(self, hip=0.0, goal=0.0, periods=1):
        """Both joints' commands."""
        self.now += periods * PERIOD_NS
        signals = self.make_signals(hip, 0.0, goal=goal)
        return self.controller.tick(signals, FRESH, self.now)["joint_command"].tolist()

    def begin(self):
        """From idle to ramp-in: the next tick is the first one of an episode."""
        self.controller.arm(self.now)
        self.tick()
        self.controller.start(self.now)

    @property
    def state(self):
        return self.controller.state

    @property
    def cause(self) -> str:
        return self.controller.cause or ""


@pytest.fixture
def by_hand(contract):
    return ByHand(with_chunks(contract))


@pytest.fixture
def robot(by_hand, make_signals):
    """Ticks what `by_hand` infers; takes over at once."""
    return Robot(chunks(by_hand, ramp_s=0.0), make_signals)


def rising(windows, begin):
    """From the newest position on, a hundredth a tick."""
    return {"joint_command": windows["joint_position"][-1] + hundredths(0)["joint_command"]}


# --- in time ---


def test_each_chunk_is_executed_until_the_next_one(contract, make_signals):
    """Horizon 4, execute 2: the positions at ticks 0, 2 and 4 are inferred from, the others only seen."""
    model = Model(with_chunks(contract), rising)
    robot = Robot(chunks(InLoop(model), ramp_s=0.0), make_signals)
    robot.begin()
    sent = [robot.tick(hip) for hip in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert sent == pytest.approx([0.1, 0.11, 0.3, 0.31, 0.5])
    windows = [seen["joint_position"][:, 0].tolist() for seen in model.seen]
    assert windows == [pytest.approx(pair) for pair in ([0.1, 0.1], [0.2, 0.3], [0.4, 0.5])]


def test_a_chunk_that_comes_later_gives_the_action_of_now(robot, by_hand):
    robot.begin()
    robot.tick()
    by_hand.give()
    sent = []
    for _ in range(6):
        sent.append(robot.tick())  # the chunk of tick 0 is taken at 1, that of 2 at 3 …
        if not by_hand.free:
            by_hand.give()
    assert [job.request.tick for job in by_hand.jobs] == [0, 2, 4, 6]
    assert sent == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])


def test_after_skipped_periods_the_action_is_that_of_now(robot, by_hand):
    robot.begin()
    robot.tick(0.1)
    by_hand.give()
    assert robot.tick(0.1) == pytest.approx(0.01)
    assert robot.tick(0.2, periods=2) == pytest.approx(0.03)
    assert by_hand.jobs[-1].request.tick == 3
    np.testing.assert_allclose(by_hand.jobs[-1].windows["joint_position"][:, 0], [0.1, 0.2], rtol=1e-6)
    by_hand.give()
    assert robot.tick(0.3) == pytest.approx(0.04)
    assert robot.tick(0.4, periods=3) == SAFE[0], "tick 7: the chunk of tick 3 goes to 6"
    assert robot.state is State.FAULT


def test_an_inference_begins_as_soon_as_the_one_before_has_ended_from_the_newest_readings(robot, by_hand):
    robot.begin()
    robot.tick(0.1)
    by_hand.give()
    robot.tick(0.2)
    robot.tick(0.3)
    assert [job.request.tick for job in by_hand.jobs] == [0, 2]
    by_hand.give(by_hand.jobs[0])  # a second time: the one of tick 2 is still under way
    robot.tick(0.4)
    assert len(by_hand.jobs) == 2
    by_hand.give(by_hand.jobs[1])
    robot.tick(0.5)
    assert by_hand.jobs[-1].request.tick == 4
    assert by_hand.jobs[-1].windows["joint_position"][-1, 0] == pytest.approx(0.5)


def test_the_time_of_an_inference_is_measured(robot, by_hand):
    robot.begin()
    robot.tick()
    robot.tick(periods=2)
    by_hand.give()
    robot.tick()
    counters = robot.controller.counters
    assert counters["inferences"] == 1
    assert counters["inference_max_us"] == 30_000
    assert counters["tolerated_latency_us"] == 20_000


# --- the first chunk ---


def test_stand_by_goes_on_until_the_first_chunk_and_the_ramp_begins_with_it(by_hand, make_signals):
    robot = Robot(chunks(by_hand, ramp_s=0.05), make_signals)
    robot.begin()
    assert [robot.tick() for _ in range(3)] == pytest.approx([0.1] * 3)
    assert robot.state is State.RAMP_IN
    by_hand.give(joint_command=np.full((4, 2), 0.5, np.float32))
    sent = []
    for _ in range(7):
        sent.append(robot.tick())
        by_hand.give(joint_command=np.full((4, 2), 0.5, np.float32))
    # Held at tick 2, so a fifth of the ramp has passed at tick 3.
    assert sent == pytest.approx([0.18, 0.26, 0.34, 0.42, 0.5, 0.5, 0.5])
    assert robot.state is State.RUNNING


@pytest.mark.parametrize("ramp_s", [0.0, 0.3])
def test_a_first_chunk_that_does_not_come_in_its_own_time_is_a_fault(by_hand, make_signals, ramp_s):
    robot = Robot(chunks(by_hand, ramp_s=ramp_s), make_signals)
    robot.begin()
    for _ in range(4):
        assert robot.both() == pytest.approx(STANDBY)
        assert robot.state is State.RAMP_IN
    assert robot.both() == SAFE
    assert robot.state is State.FAULT
    assert "0.04 s so far, tolerated are 0.02 s" in robot.cause


def test_a_bad_reading_is_a_fault_while_the_first_chunk_is_waited_for(robot, by_hand):
    robot.begin()
    robot.tick()
    assert robot.tick(np.nan) == SAFE[0]
    assert "not finite" in robot.cause


# --- what goes wrong ---


def running(robot, by_hand):
    """An episode whose first chunk was taken at tick 1."""
    robot.begin()
    robot.tick()
    by_hand.give()
    robot.tick()
    assert robot.state is State.RUNNING


def test_a_lost_chunk_is_a_fault_within_the_tick_that_nothing_reaches(robot, by_hand):
    running(robot, by_hand)
    sent = [robot.tick() for _ in range(2)]  # the chunk that was asked for at tick 2 does not come
    assert sent == pytest.approx([0.02, 0.03])
    assert robot.tick() == SAFE[0]
    assert robot.state is State.FAULT
    assert "tick 4" in robot.cause
    assert "0.02 s so far" in robot.cause


def test_after_a_lost_chunk_the_next_one_is_in_time_where_the_horizon_allows(contract, make_signals):
    by_hand = ByHand(with_chunks(contract, horizon=6))
    robot = Robot(chunks(by_hand, ramp_s=0.0), make_signals)
    robot.begin()
    robot.tick()
    by_hand.give(**hundredths(0, 6))
    robot.tick()
    robot.tick()
    by_hand.lose()
    robot.tick()
    assert robot.tick() == pytest.approx(0.04)
    assert by_hand.jobs[-1].request.tick == 4
    by_hand.give(**hundredths(4, 6))
    assert [robot.tick() for _ in range(3)] == pytest.approx([0.05, 0.06, 0.07])


def test_a_chunk_that_comes_too_late_is_refused_and_does_not_help(robot, by_hand):
    running(robot, by_hand)
    robot.tick()
    by_hand.give()
    assert robot.tick(periods=5) == SAFE[0]
    assert robot.controller.driver.refused_chunks == 1
    assert "late" in robot.controller.driver.last_refusal
    assert robot.controller.counters["inference_max_us"] == 50_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"joint_command": np.full((4, 2), np.nan, np.float32)},
        {"joint_command": np.array([[0, 0], [0, np.inf], [0, 0], [0, 0]], np.float32)},
        {"joint_command": np.zeros((3, 2), np.float32)},
        {"joint_command": np.zeros((4, 3), np.float32)},
        {"other": np.zeros((4, 2), np.float32)},
    ],
    ids=["not a number", "infinite", "short", "wide", "another command"],
)
def test_a_chunk_that_is_none_is_refused_and_the_one_before_goes_on(robot, by_hand, wrong):
    running(robot, by_hand)
    robot.tick()
    by_hand.give(**wrong)
    assert robot.tick() == pytest.approx(0.03)
    assert robot.controller.driver.refused_chunks == 1
    assert robot.controller.counters["last_refusal"] == robot.controller.driver.last_refusal != ""
    assert robot.tick() == SAFE[0]
    assert robot.controller.driver.last_refusal in robot.cause


def test_a_chunk_that_comes_twice_or_out_of_order_changes_nothing(robot, by_hand):
    running(robot, by_hand)
    robot.tick()
    first, second = by_hand.jobs
    by_hand.give(second)
    by_hand.give(second, joint_command=np.full((4, 2), 0.2, np.float32))
    by_hand.give(first, joint_command=np.full((4, 2), 0.2, np.float32))
    assert robot.tick() == pytest.approx(0.03)
    assert robot.controller.driver.refused_chunks == 2


@pytest.mark.parametrize("end", ["stop", "fault"])
def test_what_was_asked_for_before_a_stop_is_refused_after_it(robot, by_hand, end):
    running(robot, by_hand)
    robot.tick()
    old = by_hand.jobs[-1]
    if end == "stop":
        robot.controller.stop(robot.now)
    else:
        robot.controller.fault(robot.now, "operator lost")
    assert robot.tick() == SAFE[0]
    robot.controller.reset(robot.now)
    robot.begin()
    by_hand.give(old, joint_command=np.full((4, 2), 0.2, np.float32))
    assert robot.tick(0.3) == pytest.approx(STANDBY[0]), "nor is what the last episode had"
    assert robot.controller.driver.refused_chunks == 1
    assert robot.controller.driver.inference_time.count == 1, "its time says nothing of this episode"
    new = by_hand.jobs[-1]
    assert new.request.tick == 0
    np.testing.assert_allclose(new.windows["joint_position"][:, 0], [0.3, 0.3], rtol=1e-6)
    by_hand.give(new)
    assert robot.tick() == pytest.approx(0.01)


def test_an_inference_that_hangs_over_a_restart_is_told(robot, by_hand):
    running(robot, by_hand)
    robot.tick()
    robot.controller.stop(robot.now)
    robot.tick()
    robot.controller.reset(robot.now)
    robot.begin()
    assert [robot.tick() for _ in range(5)] == pytest.approx([STANDBY[0]] * 4 + [SAFE[0]])
    assert len(by_hand.jobs) == 2
    assert "before the start" in robot.cause


@pytest.mark.parametrize("inferer", [InLoop, WorkerThread])
def test_a_policy_that_raises_is_a_fault_in_words(contract, make_signals, inferer):
    called = threading.Event()

    def give(windows, begin):
        called.set()
        raise RuntimeError("out of memory")

    made = inferer(Model(with_chunks(contract), give))
    robot = Robot(chunks(made), make_signals)
    robot.begin()
    robot.tick()
    assert called.wait(LONG_S)
    assert robot.controller.close()
    assert robot.tick() == SAFE[0]
    assert robot.state is State.FAULT
    assert "out of memory" in robot.cause


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_has_died_is_a_fault_at_every_start(contract, make_signals):
    def give(windows, begin):
        raise SystemExit

    robot = Robot(chunks(WorkerThread(Model(with_chunks(contract), give))), make_signals)
    robot.begin()
    robot.tick()
    robot.controller.close()
    for _ in range(2):
        assert robot.tick() == SAFE[0]
        assert "ended" in robot.cause
        robot.controller.reset(robot.now)
        robot.begin()


def test_no_policy_of_chunks(contract, runtime):
    with pytest.raises(ValueError, match="a StepDriver drives it"):
        ChunkDriver(InLoop(runtime))


# --- goals ---


def test_the_policy_sees_only_goals_that_it_was_trained_for(change, make_signals):
    contract = change("signals", 2, trained_minimum=(-0.5,), trained_maximum=(0.125,))
    model = Model(with_chunks(contract), rising)
    robot = Robot(chunks(InLoop(model), ramp_s=0.0), make_signals)
    robot.begin()
    for goal in (0.1, 0.9, -0.9):
        robot.tick(goal=goal)
    assert model.seen[-1]["goal"][:, 0].tolist() == [0.125, -0.5]
    assert robot.controller.counters["clamped_goals"] == 2
    assert robot.tick(goal=1.1) == SAFE[0]


# --- real-time chunking ---


@pytest.mark.parametrize("latency", [1, 3, 5])
@pytest.mark.parametrize("honours", [True, False])
def test_chunks_that_come_late_join_where_what_is_kept_is_kept(contract, make_signals, latency, honours):
    """A model that goes to another side at each inference, by 0.01 a tick, from where it may first decide."""
    by_hand = ByHand(with_chunks(contract, horizon=12, execute=6, strategy="real_time"))
    robot = Robot(chunks(by_hand, ramp_s=0.0), make_signals)
    robot.begin()
    sent = []
    for tick in range(60):
        if by_hand.jobs and not by_hand.free and tick - by_hand.jobs[-1].request.tick == latency:
            side = (-1) ** len(by_hand.jobs)
            by_hand.give(joint_command=planned(by_hand.jobs[-1].request, 0.5 * side, honours))
        sent.append(robot.both())
    assert robot.state is State.RUNNING
    assert len(by_hand.jobs) == 10
    largest = np.abs(np.diff(sent[latency:], axis=0)).max()
    if honours:
        assert largest <= 0.01 + 1e-6
        assert robot.controller.rate_limited_steps == 0
    else:
        assert largest > 0.015, "or this test could not fail"


def planned(request: Request, target: float, honours: bool) -> np.ndarray:
    """(12, 2): from stand-by, or from what is kept of the chunk before, towards the target."""
    kept = int((request.kept == 1).sum()) if honours and request.kept is not None else 0
    before = np.tile(STANDBY, (12, 1)) if request.init is None else request.init
    chunk, here = np.array(before, np.float32), before[max(0, kept - 1)]
    for i in range(kept, 12):
        here = here + np.clip(target - here, -0.01, 0.01)
        chunk[i] = here
    return chunk


# --- whatever comes ---

KINDS = st.sampled_from(["good", "good", "good", "not finite", "short"])
DELIVERIES = st.lists(st.tuples(KINDS, st.integers(0, 3)), max_size=3)
EVENTS = st.tuples(st.sampled_from([1, 1, 1, 2, 5]), DELIVERIES, st.booleans()) | st.sampled_from(["stop", "restart"])


class Expected:
    """Which ticks of an episode a chunk reaches, by the rules alone."""

    def __init__(self, episode):
        self.episode, self.begun_ns, self.tick, self.newest, self.last = episode, None, 0, -1, 3

    def move(self, now_ns):
        self.begun_ns = now_ns if self.begun_ns is None else self.begun_ns
        self.tick = (now_ns - self.begun_ns) // PERIOD_NS

    def take(self, kind, request):
        in_time = self.tick - request.tick < 4 and request.number > self.newest
        if kind == "good" and request.episode == self.episode and in_time:
            self.last = request.tick + 3 if self.newest < 0 else max(self.last, request.tick + 3)
            self.newest = request.number


class AnyOrder:
    """Drives a robot through events, and judges what is sent."""

    def __init__(self, by_hand, robot, seed):
        self.by_hand, self.robot, self.random = by_hand, robot, np.random.default_rng(seed)
        self.episodes, self.last = 1, np.array(SAFE)
        self.restart()

    def restart(self):
        """Whatever the state, to a new episode."""
        with contextlib.suppress(TransitionError):
            self.robot.controller.stop(self.robot.now)
        self.robot.tick()
        with contextlib.suppress(TransitionError):
            self.robot.controller.reset(self.robot.now)
        self.robot.begin()
        self.episodes += 1
        self.expected, self.last = Expected(self.episodes), np.array(STANDBY)

    def stop(self):
        with contextlib.suppress(TransitionError):
            self.robot.controller.stop(self.robot.now)

    def tick(self, periods, deliveries, lost):
        driven = self.robot.state in (State.RAMP_IN, State.RUNNING)
        jobs = list(self.by_hand.jobs)
        given = [(kind, jobs[-1 - back % len(jobs)]) for kind, back in deliveries] if jobs and driven else []
        for kind, job in given:
            self.by_hand.give(job, joint_command=self.chunk(kind))
        if lost:
            self.by_hand.lose()
        self.judge(np.array(self.robot.both(periods=periods)))
        if driven:
            self.expected.move(self.robot.now)
            for kind, job in given:
                self.expected.take(kind, job.request)
            assert (self.robot.state is State.FAULT) == (self.expected.tick > self.expected.last)

    def chunk(self, kind):
        """Commands far beyond range and rate, or worse."""
        chunk = self.random.normal(0.0, 3.0, (3 if kind == "short" else 4, 2)).astype(np.float32)
        if kind == "not finite":
            chunk[self.random.integers(4), 1] = self.random.choice([np.nan, np.inf])
        return chunk

    def judge(self, sent):
        assert np.isfinite(sent).all()
        assert (np.abs(sent) <= [2.0, 1.0]).all()
        if self.robot.state in (State.RAMP_IN, State.RUNNING):
            assert (np.abs(sent - self.last) <= np.array([0.2, 0.1]) * (1 + 1e-12)).all()
        else:
            assert sent.tolist() == SAFE
        self.last = sent


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=40), seed=st.integers(0, 99))
def test_commands_keep_their_limits_whatever_comes_and_nothing_left_is_a_fault(contract, make_signals, events, seed):
    """In any order, twice, late, broken, lost, over skipped periods and restarts."""
    by_hand = ByHand(with_chunks(contract))
    trial = AnyOrder(by_hand, Robot(chunks(by_hand, ramp_s=0.02), make_signals), seed)
    for event in events:
        if event == "stop":
            trial.stop()
        elif event == "restart":
            trial.restart()
        else:
            trial.tick(*event)


# --- with a graph, a thread and a clock ---


def graph(horizon):
    """Serialised: the newest joint position, and from there on a thousandth a tick."""
    offsets = np.arange(horizon, dtype=np.float32)[None, :, None] / 1000
    constants = {"offsets": offsets, "newest": np.array([1])}
    nodes = [
        helper.make_node("Gather", ["joint_position", "newest"], ["position"], axis=1),
        helper.make_node("Add", ["position", "offsets"], ["joint_command"]),
    ]
    made = helper.make_graph(
        nodes,
        "rising",
        [helper.make_tensor_value_info("joint_position", TensorProto.FLOAT, [1, 2, 2])],
        [helper.make_tensor_value_info("joint_command", TensorProto.FLOAT, [1, horizon, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_a_graph_in_a_thread_drives_a_loop_in_real_time(contract, make_signals):
    """A horizon of 10 s, so that a busy machine is no fault."""
    session = onnxruntime.InferenceSession(graph(1000), providers=["CPUExecutionProvider"])
    threads, sent = set(), []

    def give(windows, begin):
        threads.add(threading.current_thread().name)
        (chunk,) = session.run(None, {"joint_position": windows["joint_position"][None]})
        return {"joint_command": np.asarray(chunk)[0]}

    worker = WorkerThread(Model(with_chunks(contract, horizon=1000, execute=5), give))
    driver = ChunkDriver(worker)
    controller = PolicyController({"policy": driver}, ramp_s=0.0)

    def tick(now_ns):
        if controller.state is State.READY:
            controller.start(now_ns)
        sent.append(controller.tick(make_signals(0.05, 0.0), FRESH, now_ns)["joint_command"][0])

    controller.arm(0)
    loop = ControlLoop(period_s=0.01, tick=tick, wait=threading.Event().wait)
    loop.run(lambda: driver.inference_time.count < 4)
    assert controller.close()
    assert (controller.state, controller.cause, driver.refused_chunks) == (State.RUNNING, None, 0)
    assert threads == {"inference"}
    executed = [hip for hip in sent if hip != STANDBY[0]]
    assert executed[0] == pytest.approx(0.05, abs=0.04)
    assert max(executed) < 1.05
