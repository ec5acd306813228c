"""A robot of a package of its own: an arm of two joints with a camera, and a policy for it without training.

The policy goes where it is told while it sees light: a camera that shows nothing holds it at zero.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from untrained import contract_for, patient

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_sim.actuators import PositionServos
from isthmus_sim.description import RobotDescription
from isthmus_sim.specs import CommandSpec, JointSpec, SignalSpec

JOINTS = ("shoulder", "elbow")
_REACH = (2.0, 2.0)

_MJCF = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <light pos="0 0 2"/>
    <camera name="top" pos="0 0 1.5"/>
    <geom name="table" type="plane" size="1 1 0.1" pos="0 0 -0.2" rgba="0.8 0.8 0.8 1"/>
    <body name="upper">
      <joint name="shoulder" axis="0 0 1" range="-2 2" limited="true" armature="0.02"/>
      <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="0.5"/>
      <body name="lower" pos="0.3 0 0">
        <joint name="elbow" axis="0 0 1" range="-2 2" limited="true" armature="0.02"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" mass="0.3"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="shoulder" joint="shoulder" kp="20" kv="3"/>
    <position name="elbow" joint="elbow" kp="20" kv="3"/>
  </actuator>
</mujoco>
"""


def _joints(name: str, unit: str, bound: float, max_age_s: float | None) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame="joint", order=JOINTS, minimum=(-bound,) * 2, maximum=(bound,) * 2,
        max_jump=(2 * bound,) * 2, max_age_s=max_age_s,
    )  # fmt: skip


ROBOT = RobotDescription(
    name="looking_arm",
    control_period_s=0.05,
    signals=(
        _joints("joint_position", "rad", 2.5, 1.0),
        _joints("joint_velocity", "rad/s", 20.0, 1.0),
        SignalSpec(
            name="camera_top", unit="1", frame="camera_top", order=("r", "g", "b"), shape=(16, 24, 3), dtype="uint8",
            minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=1.0,
        ),
        _joints("joint_position_goal", "rad", 2.0, None),
    ),
    commands=(
        CommandSpec(
            name="joint_position_target", unit="rad", frame="joint", order=JOINTS, minimum=(-2.0, -2.0),
            maximum=_REACH, max_rate=(3.0, 3.0), safe=(0.0, 0.0), standby=(0.0, 0.0), transition_rate=(1.0, 1.0),
        ),
    ),
    joints={
        name: JointSpec(
            stiffness=20.0, damping=3.0, position_min=-2.0, position_max=2.0, velocity_limit=5.0, effort_limit=50.0,
            default_position=0.0,
        )
        for name in JOINTS
    },
    actuators=(PositionServos(command="joint_position_target", actuators=JOINTS),),
    model=lambda looks: _MJCF,
)  # fmt: skip


def contract() -> Contract:
    """The contract of its policy; it was asked for angles up to 1 rad."""
    own = patient(contract_for(ROBOT, "look"))
    *readings, goal = own.signals
    goal = replace(goal, trained_minimum=(-1.0, -1.0), trained_maximum=(1.0, 1.0))
    return replace(own, signals=(*readings, goal))


def model() -> bytes:
    """`joint_position_target = goal * clip(mean brightness / 10, 0, 1)`; what the joints measure counts nothing."""
    constants = {
        "axes": np.array([1, 2, 3]), "flat": np.array([-1, 1]), "ten": np.float32(10.0), "one": np.float32(1.0),
        "nothing": np.float32(0.0),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["camera_top"], ["image"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "ten"], ["bright"]),
        helper.make_node("Min", ["bright", "one"], ["share"]),
        helper.make_node("Reshape", ["share", "flat"], ["column"]),
        helper.make_node("Mul", ["joint_position_goal", "column"], ["wanted"]),
        helper.make_node("Add", ["joint_position", "joint_velocity"], ["measured"]),
        helper.make_node("Mul", ["measured", "nothing"], ["zero"]),
        helper.make_node("Add", ["wanted", "zero"], ["joint_position_target"]),
    ]
    kinds = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}
    own = contract()
    graph = helper.make_graph(
        nodes,
        "looking",
        [helper.make_tensor_value_info(s.name, kinds[s.dtype], ["batch", *s.shape]) for s in own.signals],
        [helper.make_tensor_value_info(c.name, TensorProto.FLOAT, ["batch", *c.shape]) for c in own.commands],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(result)
    return result.SerializeToString()


def policy_file() -> bytes:
    """The sealed policy file."""
    own = contract()
    signals = {signal.name: np.zeros(signal.shape, signal.dtype) for signal in own.signals}
    signals["joint_position_goal"] = np.array((0.5, -0.5), np.float32)
    signals["camera_top"][...] = 5
    command = {"joint_position_target": np.array((0.25, -0.25), np.float32)}
    return seal(model(), own, [ReplayStep(reset=True, signals=signals, commands=command)])


def install(folder: Path) -> None:
    """Register the robot for processes that have this file's folder and `folder` on their path."""
    facts = folder / "looking_arm-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: looking-arm\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[isthmus.robots]\nlooking_arm = looking_arm:ROBOT\n")
