"""A small policy made with onnx.helper: a gain and a history, for a robot that is no real one.

Graph: `joint_command = clip(goal + 0.5 * joint_position + oldest of memory_history)`, where the history holds the last
three joint positions, oldest first.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from untrained import provenance

from isthmus_deploy.contracts.contract import Command, Contract, Joint, Memory, Signal
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_deploy.policy.runtime import Runtime

JOINTS = ("hip", "knee")


_POSITION = Signal(
    name="joint_position", shape=(2,), unit="rad", frame="joint", order=JOINTS, minimum=(-3.0, -3.0),
    maximum=(3.0, 3.0), max_jump=(0.5, 0.25), max_age_s=0.05,
)  # fmt: skip
_ORIENTATION = Signal(
    name="orientation", shape=(4,), unit="1", frame="world_from_body", order=("w", "x", "y", "z"),
    minimum=(-1.1,) * 4, maximum=(1.1,) * 4, max_jump=(0.2,) * 4, max_age_s=0.05,
)  # fmt: skip
_GOAL = Signal(
    name="goal", shape=(1,), unit="rad", frame="joint", order=("offset",), minimum=(-1.0,), maximum=(1.0,),
    max_jump=(2.0,), max_age_s=None,
)  # fmt: skip
_COMMAND = Command(
    name="joint_command", shape=(2,), unit="rad", frame="joint", order=JOINTS, minimum=(-2.0, -1.0),
    maximum=(2.0, 1.0), max_rate=(20.0, 10.0), safe=(0.0, 0.0), standby=(0.1, -0.1),
)  # fmt: skip
_JOINT = Joint(
    stiffness=20.0, damping=0.5, position_min=-2.0, position_max=2.0, velocity_limit=30.0, effort_limit=23.5,
    default_position=0.1,
)  # fmt: skip
_EVALUATION = {"episodes": 500, "success": [0.97, 0.985, 0.993]}


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Two joints and an orientation; a history of three joint positions; 100 Hz."""
    return Contract(
        robot="two_joints",
        control_period_s=0.01,
        trained_latency_s=0.012,
        signals=(_POSITION, _ORIENTATION, _GOAL),
        commands=(_COMMAND,),
        memory=(Memory(name="history", shape=(3, 2), order="oldest first", initial=0.0),),
        joints=dict.fromkeys(JOINTS, _JOINT),
        provenance=provenance(
            "two_joints", task_config={"goal": {"offset": [-0.5, 0.5]}}, seed=7, evaluation=_EVALUATION
        ),
    )


def _make_model(*, gain: float = 0.5, command: str = "joint_command", limit: tuple[float, float] = (2.0, 1.0)) -> bytes:
    """Serialised graph of the module's docstring; other arguments than the defaults make wrong ones."""
    constants = {
        "gain": np.float32(gain),
        "low": -np.array(limit, np.float32),
        "high": np.array(limit, np.float32),
        "time_axis": np.array([1]),
        "first": np.array([0]),
        "second": np.array([1]),
        "last": np.array([3]),
        "quaternion_start": np.array([0]),
        "quaternion_end": np.array([1]),
    }
    nodes = [
        helper.make_node("Mul", ["joint_position", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "goal"], ["with_goal"]),
        helper.make_node("Slice", ["orientation", "quaternion_start", "quaternion_end", "time_axis"], ["w"]),
        helper.make_node("Sub", ["w", "w"], ["zero"]),
        helper.make_node("Add", ["with_goal", "zero"], ["present"]),
        helper.make_node("Slice", ["memory_history", "first", "second", "time_axis"], ["oldest_row"]),
        helper.make_node("Squeeze", ["oldest_row", "time_axis"], ["oldest"]),
        helper.make_node("Add", ["present", "oldest"], ["wanted"]),
        helper.make_node("Max", ["wanted", "low"], ["above"]),
        helper.make_node("Min", ["above", "high"], [command]),
        helper.make_node("Slice", ["memory_history", "second", "last", "time_axis"], ["kept"]),
        helper.make_node("Unsqueeze", ["joint_position", "time_axis"], ["newest"]),
        helper.make_node("Concat", ["kept", "newest"], ["next_memory_history"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "two_joints",
        [_tensor("joint_position", 2), _tensor("orientation", 4), _tensor("goal", 1), _tensor("memory_history", 3, 2)],
        [_tensor(command, 2), _tensor("next_memory_history", 3, 2)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def _make_signals(*joints: float, goal: float = 0.0) -> dict[str, np.ndarray]:
    """Level, with the two joints at these positions (rad)."""
    return {
        "joint_position": np.array(joints, np.float32),
        "orientation": np.array([1, 0, 0, 0], np.float32),
        "goal": np.array([goal], np.float32),
    }


def _make_replay() -> tuple[ReplayStep, ...]:
    """Five steps worked out by hand: the first position comes back from the history at the fourth step."""
    positions = [(0.2, 0.4), (0.4, 0.8), (0.6, 0.0), (0.0, 0.0), (0.2, 0.2)]
    commands = [(0.1, 0.2), (0.2, 0.4), (0.3, 0.0), (0.2, 0.4), (0.1, 0.1)]
    resets = [True, False, False, False, True]
    return tuple(
        ReplayStep(
            reset=reset,
            signals=_make_signals(*position),
            commands={"joint_command": np.array(command, np.float32)},
        )
        for position, command, reset in zip(positions, commands, resets, strict=True)
    )


@pytest.fixture(scope="session")
def make_model() -> Callable[..., bytes]:
    """`make_model(gain=0.5, command="joint_command", limit=(2.0, 1.0))`: the serialised graph."""
    return _make_model


@pytest.fixture(scope="session")
def make_signals() -> Callable[..., dict[str, np.ndarray]]:
    """`make_signals(hip, knee, goal=0.0)`: readings of a level robot."""
    return _make_signals


@pytest.fixture(scope="session")
def replay() -> tuple[ReplayStep, ...]:
    """Test vectors of the graph."""
    return _make_replay()


@pytest.fixture(scope="session")
def sealed(contract: Contract) -> bytes:
    """A valid policy file."""
    return seal(_make_model(), contract, _make_replay())


@pytest.fixture(scope="session")
def policy_path(tmp_path_factory: pytest.TempPathFactory, sealed: bytes) -> Path:
    """Path of a valid policy file."""
    path = tmp_path_factory.mktemp("policy") / "policy.onnx"
    path.write_bytes(sealed)
    return path


@pytest.fixture
def runtime(policy_path: Path) -> Runtime:
    """The loaded policy."""
    return Runtime(policy_path)


@pytest.fixture
def change(contract: Contract) -> Callable[..., Contract]:
    """A copy of the contract with some fields of one item replaced: `change("signals", 0, unit="m")`."""

    def replace(group: str, index: int, **fields) -> Contract:
        items = list(getattr(contract, group))
        items[index] = dataclasses.replace(items[index], **fields)
        return dataclasses.replace(contract, **{group: tuple(items)})

    return replace
