"""Conditions of a policy: in its file, judged in every control period, and what they stop."""

import dataclasses

import numpy as np
import pytest
from chunk_models import Model, with_chunks
from linear_margins import margin_graph, margins_of

from isthmus_deploy.contracts.contract import Condition, Contract
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.chunk import ChunkDriver
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.chunk_inference import InLoop
from isthmus_deploy.policy.policy_file import PolicyFileError, parse, seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.commands.filter import DriverFailed
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.supervisor import State, TransitionError

PERIOD_NS = 10_000_000
FRESH = {"joint_position": 0.0, "orientation": 0.0}
SAFE = [0.0, 0.0]
TURN = Condition(name="turn", unit="1", description="w is at least 0.9", holds=("standby", "driven"))
HEIGHT = Condition(name="height", unit="rad", description="the knee is above 0.125 rad", holds=("driven",))
ROWS = [({"orientation": (1.0, 0.0, 0.0, 0.0)}, -0.9), ({"joint_position": (0.0, 1.0)}, -0.125)]
FALLEN = np.array([0.75, np.sqrt(1 - 0.75**2), 0.0, 0.0], np.float32)
TOO_FAR = "turn: 0.15 1 beyond what training had (w is at least 0.9)"
TOO_LOW = "height: 0.125 rad beyond what training had (the knee is above 0.125 rad)"


@pytest.fixture(scope="module")
def conditional(contract) -> Contract:
    """Two conditions, and a robot that may fall over within a control period."""
    position, orientation, goal = contract.signals
    signals = (position, dataclasses.replace(orientation, max_jump=(2.0,) * 4), goal)
    return dataclasses.replace(contract, signals=signals, conditions=(TURN, HEIGHT))


@pytest.fixture(scope="module")
def vectors(replay):
    """The test vectors with the margins of their readings."""
    return [dataclasses.replace(step, margins=margins_of(ROWS, step.signals)) for step in replay]


@pytest.fixture(scope="module")
def file(make_model, conditional, vectors) -> bytes:
    return seal(make_model(), conditional, vectors, margin_graph(conditional, ROWS))


@pytest.fixture
def load(tmp_path):
    def load(data: bytes) -> Runtime:
        (tmp_path / "policy.onnx").write_bytes(data)
        return Runtime(tmp_path / "policy.onnx")

    return load


class Robot:
    """A controller and its readings."""

    def __init__(self, controller, make_signals):
        self.controller, self.make_signals, self.now = controller, make_signals, 0

    def tick(self, knee=0.25, **other):
        sent = self.controller.tick({**self.make_signals(0.0, knee), **other}, FRESH, self.now)["joint_command"]
        self.now += PERIOD_NS
        return sent.tolist()

    def run_to(self, state):
        self.controller.arm(self.now)
        self.tick()
        if state is not State.READY:
            self.controller.start(self.now)
        while self.controller.state is not state:
            self.tick()


@pytest.fixture(params=["step by step", "chunks"])
def robot(request, load, file, conditional, make_signals):
    """The same conditions around a policy of each kind."""
    if request.param == "step by step":
        return Robot(PolicyController({"policy": StepDriver(load(file))}, ramp_s=0.1), make_signals)
    rows = np.zeros((4, 2), np.float32)
    model = Model(with_chunks(conditional), lambda signals, begin: {"joint_command": rows})
    model.conditions = lambda: Conditions((TURN, HEIGHT), lambda signals: margins_of(ROWS, signals))
    return Robot(PolicyController({"policy": ChunkDriver(InLoop(model))}, ramp_s=0.1), make_signals)


# --- in the file ---


def test_conditions_survive_the_file(file, conditional, contract):
    read = parse(file)
    assert read.contract == conditional
    assert read.conditions == margin_graph(conditional, ROWS)
    assert [step.margins.shape for step in read.replay] == [(2,)] * 5
    assert "conditions" not in contract.to_json(), "one without is written as before there were any"


def test_a_graph_that_gives_other_margins_is_refused(load, make_model, conditional, vectors):
    other = [ROWS[0], ({"joint_position": (0.0, 1.0)}, -0.126)]
    with pytest.raises(PolicyFileError, match=r"its margins are off by 0\.0007.* at step 0"):
        load(seal(make_model(), conditional, vectors, margin_graph(conditional, other)))


def test_a_graph_of_something_else_is_refused(load, make_model, conditional, vectors):
    with pytest.raises(PolicyFileError, match="the graph's outputs are heights; the contract says margins"):
        load(seal(make_model(), conditional, vectors, margin_graph(conditional, ROWS, output="heights")))
    with pytest.raises(PolicyFileError, match=r"output margins of the graph is .* the contract says float32"):
        load(seal(make_model(), conditional, vectors, margin_graph(conditional, ROWS[:1])))
    with pytest.raises(PolicyFileError, match="cannot load the graph"):
        load(seal(make_model(), conditional, vectors, b"no graph"))


def test_a_contract_with_conditions_and_no_graph_is_refused(make_model, conditional, vectors):
    with pytest.raises(PolicyFileError, match=r"has 0 entries isthmus\.conditions"):
        parse(seal(make_model(), conditional, vectors))


def test_test_vectors_without_their_margins_are_refused(make_model, conditional, replay):
    with pytest.raises(PolicyFileError, match=r"margins has the shape \(0,\), not \(2,\)"):
        parse(seal(make_model(), conditional, replay, margin_graph(conditional, ROWS)))


def test_what_a_condition_cannot_be_is_refused(conditional):
    with pytest.raises(ContractError, match="the graph name turn is taken already"):
        dataclasses.replace(conditional, conditions=(TURN, TURN))
    for condition, message in (
        (dataclasses.replace(TURN, holds=()), r"conditions\[0\].holds: needs at least 1 item"),
        (dataclasses.replace(TURN, holds=("landing",)), r"conditions\[0\].holds\[0\]: 'landing' is none of"),
    ):
        with pytest.raises(ContractError, match=message):
            dataclasses.replace(conditional, conditions=(condition,)).to_json()


# --- what they stop ---


def test_what_stand_by_forbids_is_found_before_arming(robot):
    fallen = {**robot.make_signals(0.0, 0.0), "orientation": FALLEN}
    assert robot.controller.problem(fallen, FRESH) == TOO_FAR
    assert robot.controller.problem(robot.make_signals(0.0, 0.0), FRESH) is None, "it may lie: that holds when driven"


@pytest.mark.parametrize("state", [State.READY, State.RAMP_IN, State.RUNNING])
def test_a_broken_condition_gives_the_safe_command_in_the_same_tick(robot, state):
    robot.run_to(state)
    assert robot.tick(orientation=FALLEN) == SAFE
    assert (robot.controller.state, robot.controller.cause) == (State.FAULT, TOO_FAR)
    assert robot.tick() == SAFE, "it is latched"


def test_the_limit_itself_is_allowed(robot):
    robot.run_to(State.READY)
    robot.tick(0.125)
    robot.controller.start(robot.now)
    robot.tick(0.125)
    assert robot.controller.state is State.RAMP_IN
    robot.tick(0.1249)
    assert robot.controller.state is State.FAULT


def test_a_robot_that_lies_stands_by_and_does_not_start(robot):
    robot.controller.arm(robot.now)
    for _ in range(3):
        robot.tick(0.0)
    assert robot.controller.state is State.READY
    with pytest.raises(TransitionError, match=r"cannot start: height: 0\.125 rad beyond what training had"):
        robot.controller.start(robot.now)
    robot.tick(0.2)
    robot.controller.start(robot.now)
    robot.tick(0.2)
    robot.tick(0.0)
    assert (robot.controller.state, robot.controller.cause) == (State.FAULT, TOO_LOW)


def test_a_start_before_the_first_tick_of_stand_by_is_refused_by_what_arming_saw(robot):
    assert robot.controller.problem(robot.make_signals(0.0, 0.0), FRESH) is None
    robot.controller.arm(robot.now)
    with pytest.raises(TransitionError, match="cannot start: height"):
        robot.controller.start(robot.now)


def test_diagnostics_show_the_smallest_margin_since_arming(robot):
    assert not {"least_margin_turn", "least_margin_height"} & set(robot.controller.counters)
    robot.run_to(State.READY)
    robot.tick(0.0)
    assert robot.controller.counters["least_margin_turn"] == pytest.approx(0.1)
    assert "least_margin_height" not in robot.controller.counters, "it does not hold yet"
    robot.tick()
    robot.controller.start(robot.now)
    for knee in (0.375, 0.25, 0.375):
        robot.tick(knee)
    assert robot.controller.counters["least_margin_height"] == 0.125
    robot.controller.stop(robot.now)
    robot.tick()
    robot.controller.reset(robot.now)
    robot.run_to(State.READY)
    assert "least_margin_height" not in robot.controller.counters


@pytest.mark.parametrize("margin", [np.nan, -np.inf])
def test_what_is_not_known_is_broken(margin):
    conditions = Conditions((TURN,), lambda signals: np.array([margin]))
    assert conditions.judge({}, "standby") == "turn: not known (w is at least 0.9)"


def test_a_graph_that_cannot_be_computed_stops_too():
    def fails(signals):
        raise DriverFailed("ONNX Runtime cannot compute the conditions: out of memory")

    conditions = Conditions((TURN,), fails)
    assert "out of memory" in str(conditions.judge({}, "driven"))
    assert conditions.broken("driven") == "turn: not known (w is at least 0.9)"


def test_without_conditions_everything_is_fine():
    assert Conditions().judge({}, "driven") is None
    assert Conditions().broken("driven") is None
    with pytest.raises(ValueError, match="without anything that computes their margins"):
        Conditions((TURN,))
