"""A robot on ROS 2, recorded from the command line: by a policy, and by a person at the page; against the stand-in."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from untrained import contract_for, patient

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.scan.gather import gather
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_policies.demonstrate.record import main as record
from isthmus_sim.robots.so101.description import HOME
from isthmus_sim.tasks import make_task

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'isthmus[ros]'")

from ros_processes import Operator as Watcher
from ros_processes import Process

ROBOT = make_task("reach_cube").robot
COMMAND, CAMERA = ROBOT.commands[0], next(signal.name for signal in ROBOT.signals if signal.dtype == "uint8")
TOPIC = "forward_position_controller/commands"
AWAY = np.float32(0.1)  # rad from home


def staying(contract: Contract) -> bytes:
    """A graph that asks for home and a tenth of a radian, whatever it reads."""
    nothing = [
        node
        for each in contract.signals
        for node in (
            helper.make_node("Cast", [each.name], [f"{each.name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", [f"{each.name}_float"], [f"{each.name}_flat"], axis=1),
        )
    ]
    nodes = [
        *nothing,
        helper.make_node("Concat", [f"{each.name}_flat" for each in contract.signals], ["all"], axis=1),
        helper.make_node("ReduceSum", ["all", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "zero"], ["none"]),
        helper.make_node("Add", ["none", "pose"], [COMMAND.name]),
    ]
    constants = {"zero": np.float32(0.0), "axis": np.array([1]), "pose": np.array(HOME, np.float32) + AWAY}
    types = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    graph = helper.make_graph(
        nodes,
        "staying",
        [helper.make_tensor_value_info(s.name, types[s.dtype], ["batch", *s.shape]) for s in contract.signals],
        [helper.make_tensor_value_info(c.name, TensorProto.FLOAT, ["batch", *c.shape]) for c in contract.commands],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    contract = patient(contract_for(ROBOT, "reach_cube"))
    signals = {s.name: np.zeros(s.shape, np.dtype(s.dtype)) for s in contract.signals}
    step = ReplayStep(reset=True, signals=signals, commands={COMMAND.name: np.array(HOME, np.float32) + AWAY})
    path = tmp_path / "staying.onnx"
    path.write_bytes(seal(staying(contract), contract, (step,)))
    return path


@pytest.mark.ros
def test_a_policy_drives_and_everything_is_recorded(start, policy: Path, tmp_path: Path, capsys):
    start("stand_in_robot", "--task", "reach_cube", "--seed", "3")
    root = tmp_path / "reach"
    record(["reach_cube", str(root), "--ros", "--policy", str(policy), "--episodes", "2", "--max-seconds", "1"])
    assert "2 episodes more, 60 steps: 2 ended by time" in " ".join(capsys.readouterr().out.split())
    reader = DatasetReader(root)
    assert reader.info.robot_type == ROBOT.name
    assert [row.facts["operator"] for row in reader.episodes] == ["policy staying"] * 2
    columns = reader.columns(1)
    names = reader.info.features["observation.state"].names
    assert names is not None
    position = columns["observation.state"][:, [names.index(f"joint_position.{joint}") for joint in COMMAND.order]]
    assert np.abs(position[0] - HOME).max() < 0.1, "an episode begins in stand-by"
    assert columns["action"] == pytest.approx(np.tile(np.array(HOME) + AWAY, (30, 1)), abs=1e-6)
    sent = columns["sent_action"]
    assert np.abs(np.diff(sent, axis=0)).max() <= COMMAND.max_rate[0] * ROBOT.control_period_s + 1e-6
    assert np.abs(sent[0] - HOME).max() < AWAY / 4, "the policy takes over little by little"
    assert sent[-1] == pytest.approx(columns["action"][-1])
    assert np.array(list(reader.frames(0, f"observation.images.{CAMERA}"))).std() > 1.0, "the camera sees something"
    assert [finding for finding in run_checks(gather(root)) if finding.severity == "error"] == []


@pytest.mark.ros
def test_a_person_demonstrates_with_the_page_and_the_robot_ends_folded(start, tmp_path: Path):
    start("stand_in_robot", "--robot", "so101", "--seed", "3")
    arguments = ("pick_place", tmp_path / "d", "--ros", "--no-open", "--port", "0")
    page = Process("isthmus_policies.demonstrate.teleop", *arguments)
    watcher = Watcher(TOPIC)
    try:
        page.wait_for("open http://127.0.0.1:")
        watcher.wait("stand-by", lambda: watcher.commands and np.allclose(watcher.commands[-1], HOME, atol=0.02))
        page.signal(signal.SIGINT)
        watcher.wait("the safe command", lambda: np.allclose(watcher.commands[-1], COMMAND.safe, atol=1e-6))
        assert page.exit_status() == 0
    finally:
        watcher.close()
        page.kill()
    assert "0 episodes saved" in page.output


@pytest.mark.ros
def test_another_robot_is_refused(start, policy: Path, tmp_path: Path):
    start("stand_in_robot", "--robot", "quadruped")
    with pytest.raises(SystemExit, match=r"the robot is not the task's so101_camera:\n  it says that it is quadruped"):
        record(["reach_cube", str(tmp_path / "d"), "--ros", "--policy", str(policy)])
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--ros"], "--ros needs --policy FILE: .* isthmus-teleop --ros"),
        (["--namespace", "/arm"], "--namespace and --camera are of a robot on ROS 2: say --ros too"),
        (["--ros", "--policy", "none.onnx", "--calibration", "eye.json"], "--calibration places simulated cameras"),
        (["--policy", "none.onnx", "--max-seconds", "0"], "max_seconds must be a positive number, not 0"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, arguments: list[str], reason: str):
    with pytest.raises(SystemExit, match=f"isthmus-record: {reason}"):
        record(["push_t", str(tmp_path / "d"), *arguments])
    assert not (tmp_path / "d").exists()
