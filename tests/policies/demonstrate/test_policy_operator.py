"""A policy file as an operator: a hand-made graph on Push-T, alone and with a person who takes over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast
from unittest import mock

import numpy as np
import onnx
import pytest
from chunk_models import Model, Values, with_chunks
from onnx import TensorProto, helper
from untrained import contract_for

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.operator import Controller, Event
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.operators.human import HumanOperator
from isthmus_datasets.teleop.operators.plane_guide import PlaneGuide
from isthmus_datasets.teleop.operators.take_over import TakeOver
from isthmus_deploy.contracts.contract import Contract, Memory
from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep, seal
from isthmus_policies.demonstrate.demonstration import MeasuredRobot
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.policy_operator import PolicyOperator, policy_for
from isthmus_policies.demonstrate.record import main as record
from isthmus_sim.robots.pusher import description as pusher
from isthmus_sim.robots.pusher.description import MIDDLE, PIXEL, TABLE
from isthmus_sim.robots.quadrotor import description as quadrotor
from isthmus_sim.tasks import make_task


def contract() -> Contract:
    """The contract is one for Push-T's robot, with a memory of where the block was a step ago."""
    before = Memory(name="before", shape=(2,), order="x y", initial=100.0)
    own = contract_for(pusher.ROBOT, "push_t", memory=(before,))
    return replace(own, signals=own.signals[::-1])


Tensors = dict[str, tuple[int, ...]]
"""Name -> shape without the batch axis."""


def compiled(nodes: list[onnx.NodeProto], inputs: Tensors, outputs: Tensors) -> bytes:
    """A graph of these nodes; what is called "eye" are bytes."""

    def infos(tensors: Tensors) -> list[onnx.ValueInfoProto]:
        types = {name: TensorProto.UINT8 if name == "eye" else TensorProto.FLOAT for name in tensors}
        return [helper.make_tensor_value_info(name, types[name], ["batch", *shape]) for name, shape in tensors.items()]

    graph = helper.make_graph(nodes, "hand_made", infos(inputs), infos(outputs))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def model() -> bytes:
    """target_position = where the block was a step ago + 0 · (the other signals)."""
    nodes = [
        helper.make_node("Sub", ["agent_position", "agent_position"], ["nothing"]),
        helper.make_node("Sub", ["block_angle", "block_angle"], ["none"]),
        helper.make_node("Add", ["nothing", "none"], ["zero"]),
        helper.make_node("Add", ["memory_before", "zero"], ["target_position"]),
        helper.make_node("Identity", ["block_position"], ["next_memory_before"]),
    ]
    inputs = {"agent_position": (2,), "block_position": (2,), "block_angle": (1,), "memory_before": (2,)}
    return compiled(nodes, inputs, {"target_position": (2,), "next_memory_before": (2,)})


def sealed(path: Path, contract: Contract) -> Path:
    signals = {s.name: np.zeros(s.shape, np.float32) for s in contract.signals}
    commands = {"target_position": np.full(2, 100.0, np.float32)}
    path.write_bytes(seal(model(), contract, (ReplayStep(reset=True, signals=signals, commands=commands),)))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return sealed(tmp_path / "hand_made.onnx", contract())


@pytest.fixture
def robot() -> Iterator[EnvRobot]:
    with closing(EnvRobot(make_task("push_t"))) as robot:
        yield robot


def drive(operator, robot: EnvRobot, steps: int) -> tuple[list, list]:
    """Decisions, and where the block was upon each."""
    decisions, blocks = [], []
    for _ in range(steps):
        observation = robot.observe()
        blocks.append(observation.columns["state"][2:4].copy())
        decisions.append(operator.decide(observation))
        robot.act(decisions[-1].action)
    return decisions, blocks


def test_it_acts_on_the_robots_signals_and_remembers_within_an_episode(path: Path, robot: EnvRobot):
    operator = PolicyOperator(path, pusher.ROBOT)
    for seed in (3, 4):
        robot.reset(seed)
        operator.reset(seed)
        decisions, blocks = drive(operator, robot, 4)
        expected = [(100.0, 100.0), *blocks[:-1]]  # the memory begins anew
        np.testing.assert_array_equal([d.action for d in decisions], np.array(expected, np.float32))
    assert {d.control for d in decisions} == {Controller.POLICY}
    assert {d.event for d in decisions} == {Event.NONE}
    assert operator.name == "policy hand_made"


def test_images_go_in_and_every_command_comes_out_in_the_robots_order(gantry: ModuleType, tmp_path: Path):
    """x_target = the greater of the joints' positions, y_target = a thousandth of the mean grey."""
    nodes = [
        helper.make_node("ReduceMax", ["joint_position"], ["x_target"], axes=[1], keepdims=1),
        helper.make_node("Cast", ["eye"], ["light"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["light"], ["colour"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["colour"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Constant", [], ["thousandth"], value_float=0.001),
        helper.make_node("Mul", ["grey", "thousandth"], ["y_target"]),
    ]
    graph = compiled(nodes, {"joint_position": (2,), "eye": (16, 24, 3)}, {"y_target": (1,), "x_target": (1,)})
    own = contract_for(gantry.ROBOT, "gantry-reach")
    own = replace(own, signals=own.signals[:2], commands=own.commands[::-1])
    zeros = {s.name: np.zeros(s.shape, s.dtype) for s in own.signals}
    replay = ReplayStep(reset=True, signals=zeros, commands={c.name: np.zeros(1, np.float32) for c in own.commands})
    (tmp_path / "two.onnx").write_bytes(seal(graph, own, (replay,)))
    operator = PolicyOperator(tmp_path / "two.onnx", gantry.ROBOT)
    with closing(EnvRobot(make_task("gantry-reach"))) as robot:
        robot.reset(0)
        observation = robot.observe()
        action = operator.decide(observation).action
        expected = (observation.columns["state"][:2].max(), 0.001 * observation.images["eye"].mean())
        np.testing.assert_allclose(action, expected, atol=1e-6)
        robot.act(action)


def test_it_may_start_and_end_episodes_by_itself(path: Path, robot: EnvRobot):
    operator = PolicyOperator(path, pusher.ROBOT, steps=3)
    operator.reset(0)
    decisions, _ = drive(operator, robot, 4)
    assert [d.event for d in decisions] == [Event.START, Event.NONE, Event.NONE, Event.TIME]
    operator.reset(0)
    seen = robot.observe()
    assert operator.decide(seen).event is Event.START
    assert operator.decide(replace(seen, success=True)).event is Event.SUCCESS


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"control_period_s": 0.02}, r"control_period_s: contract 0\.02, robot 0\.1"),
        ({"signals": (0, {"unit": "deg"})}, r"signals\.block_angle\.unit: contract deg, robot rad"),
        ({"signals": (1, {"order": ("y", "x")})}, r"signals\.block_position\.order: contract"),
        ({"commands": (0, {"frame": "body"})}, r"commands\.target_position\.frame: contract body, robot table"),
    ],
)
def test_a_policy_of_another_robot_is_refused_with_the_line_that_differs(tmp_path: Path, change: dict, line: str):
    own = contract()
    for name, value in change.items():
        if isinstance(value, tuple):
            items = list(getattr(own, name))
            items[value[0]] = replace(items[value[0]], **value[1])
            value = tuple(items)
        own = replace(own, **{name: value})
    with pytest.raises(PolicyFileError, match=rf"other\.onnx is for another robot: .*{line}"):
        PolicyOperator(sealed(tmp_path / "other.onnx", own), pusher.ROBOT)


def test_a_robot_without_the_signals_is_refused(path: Path):
    with pytest.raises(PolicyFileError, match=r"signals\.agent_position: contract needs it, robot has only"):
        PolicyOperator(path, quadrotor.ROBOT)


class Device:
    """Takes over at step 2, pushes away from the person, and gives back at step 4."""

    name = "joystick"

    def __init__(self, motions: list[Motion] | None = None) -> None:
        push = Motion(linear=np.array((1.0, 0.0, 0.0)))
        taking = [Motion(), Motion(), Motion(), replace(push, in_control=True), push, Motion(in_control=False)]
        self.motions = motions or taking

    def read(self) -> Motion:
        return self.motions.pop(0) if self.motions else Motion()

    def close(self) -> None:
        pass


def plane_guide(robot: EnvRobot) -> PlaneGuide:
    return PlaneGuide(
        robot.features, place=("agent_position.x", "agent_position.y"), scale=(1 / PIXEL, -1 / PIXEL),
        origin=(MIDDLE, MIDDLE), minimum=(0, 0), maximum=(TABLE, TABLE), facing_rad=np.pi / 2, speed_m_s=0.2,
    )  # fmt: skip


def test_a_person_takes_over_from_it_and_gives_back(path: Path, robot: EnvRobot, tmp_path: Path):
    human = HumanOperator(Device(), plane_guide(robot), rate_hz=10)
    operator = TakeOver(human, PolicyOperator(path, pusher.ROBOT, steps=7))
    with (
        open_dataset(tmp_path / "set", robot.features, fps=10) as writer,
        Recorder(robot, operator, writer, task="follow the block", clock=VirtualClock()) as recorder,
    ):
        assert recorder.record(5).ending is Ending.TIME
    rows = DatasetReader(tmp_path / "set").columns(0)
    assert rows["control"].ravel().tolist() == [1, 1, 0, 0, 1, 1, 1]
    action, state = rows["action"], rows["observation.state"]
    np.testing.assert_allclose(action[2], state[2, :2] - (0.0, 20.0), atol=1e-3)  # from where the disc was
    np.testing.assert_allclose(action[3], action[2] - (0.0, 20.0), atol=1e-3)
    np.testing.assert_allclose(action[4], state[3, 2:4], atol=1e-3)  # it remembers what was while the person drove


def test_what_a_policy_of_chunks_would_do_is_planned_at_the_take_over(
    robot: EnvRobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It would go 1 px a step from where the disc is when it plans: at the start, whenever control changes hands, and
    no more often than it executes of a chunk."""

    def chunk(windows: Values, begin: Values | None) -> Values:
        return {"target_position": windows["agent_position"][-1] + np.arange(4, dtype=np.float32)[:, None]}

    model = Model(with_chunks(contract(), horizon=4, execute=3), chunk)
    monkeypatch.setattr("isthmus_policies.demonstrate.policy_operator.Runtime", lambda path: model)
    push = Motion(linear=np.array((1.0, 0.0, 0.0)))
    motions = [Motion(), replace(push, event=Event.START), push, Motion(in_control=False), Motion(),
               replace(push, in_control=True), *[push] * 4, Motion(event=Event.STOP)]  # fmt: skip
    human = HumanOperator(Device(motions), plane_guide(robot), rate_hz=10)
    operator = TakeOver(human, PolicyOperator(tmp_path / "chunks.onnx", pusher.ROBOT), human_first=True)
    with (
        open_dataset(tmp_path / "set", robot.features, fps=10) as writer,
        Recorder(robot, operator, writer, task="push", clock=VirtualClock()) as recorder,
    ):
        recorder.record(5)
    rows = DatasetReader(tmp_path / "set").columns(0)
    assert rows["control"].ravel().tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]
    planned = np.array([0, 0, 2, 2, 4, 4, 4, 7, 7])
    assert len(model.seen) == len(set(planned))
    would_have = rows["observation.state"][planned, :2] + (np.arange(9) - planned)[:, None]
    np.testing.assert_allclose(rows["policy_action"], would_have, atol=1e-3)
    assert (np.abs(rows["policy_action"] - rows["action"])[rows["intervention"][:, 0]] > 1).any(axis=1).all()
    np.testing.assert_array_equal(rows["intervention"], rows["control"] == 0)


def test_an_observation_without_its_signals_is_told(path: Path):
    operator = PolicyOperator(path, pusher.ROBOT)
    columns = {"state": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match=r"\(3,\), it must be \(5,\): .*1 of block_angle"):
        operator.decide(Observation(columns=columns, capture_time_ns={"state": 0}))


def test_it_is_recorded_from_the_command_line(path: Path, tmp_path: Path):
    record(
        ["push_t", str(tmp_path / "d"), "--policy", str(path), "--episodes", "2", "--max-seconds", "2", "--no-images"]
    )
    episodes = DatasetReader(tmp_path / "d").episodes
    assert [(row.length, row.facts["operator"], row.facts["ending"]) for row in episodes] == [
        (20, "policy hand_made", "time")
    ] * 2


def test_what_it_needs_and_nobody_measures_is_named(tmp_path: Path):
    """The quadrotor's goal, which an operator gives."""

    class Flying:
        readings = ("position", "orientation")

        def signals(self, observation: Observation) -> dict:
            return {}

    goals = [signal.name for signal in quadrotor.ROBOT.signals if signal.is_goal]
    operator = SimpleNamespace(needs=tuple(signal.name for signal in quadrotor.ROBOT.signals))
    with (
        mock.patch("isthmus_policies.demonstrate.policy_operator.PolicyOperator", return_value=operator),
        pytest.raises(
            PolicyFileError, match=f"needs .*{goals[0]}.*, which the robot does not measure: .*isthmus-deploy"
        ),
    ):
        policy_for(tmp_path / "x.onnx", quadrotor.ROBOT, cast(MeasuredRobot, Flying()))
