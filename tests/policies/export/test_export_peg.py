"""The arm with a peg: its kinematics and its sensor at the wrist are in the graph, and the force that it may feel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from untrained import provenance

from isthmus_deploy.policy.policy_file import TOLERANCE, parse
from isthmus_policies.export.export import export_policy
from isthmus_policies.networks.policy import POLICIES, make_policy
from isthmus_sim.tasks import make_task

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own


@pytest.mark.long
def test_raw_readings_go_in_and_targets_of_the_joints_come_out():
    torch.manual_seed(0)
    task = make_task("peg")
    policy = make_policy("squashed", POLICIES["squashed"].config, dict(task.groups), task.action_size).eval()
    model, error, recording = export_policy(task, policy, provenance("peg"))
    contract = parse(model).contract
    assert error <= TOLERANCE
    read = {signal.name: (signal.unit, signal.frame) for signal in contract.signals}
    assert read["wrist_force"] == ("N", "tool")
    assert read["wrist_torque"] == ("N·m", "tool")
    assert read["hole_position"] == ("m", "world")
    assert [memory.name for memory in contract.memory] == ["target"]
    assert np.abs(recording.memory[5]["memory_target"]).max() > 0.0, "it moves"
    assert contract.conditions is not None
    (condition,) = contract.conditions
    assert (condition.name, condition.unit) == ("touch", "N")
