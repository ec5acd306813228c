"""Faults at the start of a node, and policies that fail while they drive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from faults.messages import Inject
from faults.relay import INTERFACE
from faults.trial import Kind, Refuses, Stops, Trial
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep, seal

TRAP_M = 0.9
"""A reference beyond it, m along x, springs the trap of a policy."""


def trapped(model: bytes, contract: Contract, replay: tuple[ReplayStep, ...], *, raises: bool) -> bytes:
    """The policy file of a graph whose command is not a number once the reference is beyond `TRAP_M`; or, with
    `raises`, that ONNX Runtime cannot compute then."""
    graph = onnx.load_from_string(model)
    command = contract.commands[0].name
    for node in graph.graph.node:
        node.output[:] = ["untrapped" if name == command else name for name in node.output]
    constants = {"first": np.array([0]), "limit": np.float32(TRAP_M)}
    sprung = [
        helper.make_node("Gather", ["reference_position", "first"], ["forward"], axis=1),
        helper.make_node("Greater", ["forward", "limit"], ["sprung"]),
    ]
    if raises:
        constants |= {"one": np.ones(1, np.float32)}
        sprung += [
            helper.make_node("Cast", ["sprung"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["one", "index"], ["factor"]),  # there is no second element
        ]
    else:
        constants |= {"one": np.ones(1, np.float32), "nothing": np.array([np.nan], np.float32)}
        sprung += [helper.make_node("Where", ["sprung", "nothing", "one"], ["factor"])]
    graph.graph.node.extend([*sprung, helper.make_node("Mul", ["untrapped", "factor"], [command])])
    graph.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    onnx.checker.check_model(graph)
    return seal(graph.SerializeToString(), contract, replay)


def _spring(trial: Trial) -> None:
    """How long the goal is on its way is no part of the fault."""
    trial.operator.give_goal(TRAP_M + 0.1, 0.0, 0.8)
    trial.mark_in_tick()


def _start(*options: object) -> Inject:
    """Start a node, which is to refuse."""

    def inject(trial: Trial) -> None:
        trial.system.node = trial.system.start_node("--wait-s", 8, *options)

    return inject


def _truncated(trial: Trial) -> None:
    path = trial.system.folder / "truncated.onnx"
    content = trial.system.policy.read_bytes()
    path.write_bytes(content[: trial.random.integers(len(content))])
    _start(path)(trial)


def _volatile_interface(trial: Trial) -> None:
    """The robot has said what it is before the node came, and its publisher does not keep what it said."""
    node = trial.operator.link.node
    trial.relay.leave()
    publisher = node.create_publisher(String, INTERFACE, QoSProfile(depth=1))
    trial.at_end += [lambda: node.destroy_publisher(publisher), trial.relay.enter]
    publisher.publish(String(data=trial.system.robot_under_test.contract.interface().to_json()))
    _start()(trial)


def kinds(raising: Path, not_a_number: Path, of_another_robot: Path) -> tuple[Kind, ...]:
    """Those that need these policy files."""
    return (
        Kind(name="ONNX Runtime raises in a tick", row=19, inject=_spring, expect=Stops(), options=(raising,)),
        Kind(name="the policy answers not-a-number", inject=_spring, expect=Stops(), options=(not_a_number,)),
        Kind(
            name="policy of another robot", phase="starting", inject=_start(of_another_robot),
            expect=Refuses(words="does not match"),
        ),
        Kind(name="truncated policy file", phase="starting", inject=_truncated, expect=Refuses(words="refused")),
        Kind(
            name="robot description is not latched", row=14, phase="starting", inject=_volatile_interface,
            expect=Refuses(words="quality of service"),
        ),
    )  # fmt: skip
