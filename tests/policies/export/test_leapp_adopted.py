"""A graph that leapp wrote becomes a policy file for a robot described here, or is refused with what it lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.policy.runtime import Runtime
from isthmus_policies.export.leapp import Description, LeappError, read_leapp
from isthmus_policies.export.leapp_adopted import adopt
from isthmus_policies.export.leapp_command import Options, _run
from isthmus_sim.robots.quadruped.description import ROBOT

STANDING = Path(__file__).parent / "leapp_standing" / "standing.yaml"
"""Written by leapp 0.7.2: target = 0.9 default + 0.05 q - 0.001 dq + 0.05 of the target before, at 50 Hz."""
DEFAULT = np.array(ROBOT.commands[0].standby, np.float32)


@pytest.fixture
def found() -> Description:
    return read_leapp(STANDING)


def test_it_runs_as_a_policy_of_ours(found: Description, tmp_path: Path):
    """By hand: 0.1 rad beside the default pose ask for 0.005 rad more, and a twentieth of that at the next step."""
    path = tmp_path / "adopted.onnx"
    path.write_bytes(adopt(found, ROBOT, 0.02))
    runtime = Runtime(path)
    contract = runtime.contract
    assert [signal.name for signal in contract.signals] == ["joint_position", "joint_velocity"]
    assert contract.commands[0].max_rate == ROBOT.commands[0].max_rate, "limits are the robot's"
    assert contract.trained_latency_s == 0.02
    still = np.zeros(12, np.float32)
    (first,) = runtime.step({"joint_position": DEFAULT + 0.1, "joint_velocity": still}).values()
    np.testing.assert_allclose(first, DEFAULT + 0.005, atol=1e-6)
    (second,) = runtime.step({"joint_position": DEFAULT, "joint_velocity": still + 1.0}).values()
    np.testing.assert_allclose(second, DEFAULT + 0.05 * 0.005 - 0.001, atol=1e-6)
    runtime.reset()
    (again,) = runtime.step({"joint_position": DEFAULT, "joint_velocity": still}).values()
    np.testing.assert_allclose(again, DEFAULT, atol=1e-6)


def changed(found: Description, which: str, **fields) -> Description:
    tensors = getattr(found, which)
    return replace(found, **{which: (replace(tensors[0], **fields), *tensors[1:])})


def test_nothing_is_guessed(found: Description):
    swapped = (*ROBOT.joints,)[::-1]
    for bad, words in (
        (replace(found, frequency=None), "its rate is not stated, and quadruped is driven at 50 Hz"),
        (replace(found, frequency=100.0), "its rate is 100 Hz"),
        (changed(found, "inputs", elements=None), "q: its elements are not named, so their order is not known"),
        (changed(found, "inputs", elements=swapped), f"q: its elements are {swapped[0]} "),
        (changed(found, "inputs", kind="state/wrench"), r"q \(state/wrench\) is none of: .*joint_position"),
        (replace(found, initial={}), "last_in: its value after a reset is not stated"),
        (replace(found, outputs=()), "it gives no joint_position_target, which quadruped needs"),
    ):
        with pytest.raises(LeappError, match=words):
            adopt(bad, ROBOT, 0.02)


def test_the_command_asks_for_what_leapp_has_no_place_for(tmp_path: Path):
    out = tmp_path / "policy.onnx"
    with pytest.raises(LeappError, match="give --trained-latency-s"):
        _run(Options(file=STANDING, robot="quadruped", out=out))
    assert "by nobody evaluated" in _run(Options(file=STANDING, robot="quadruped", trained_latency_s=0.02, out=out))
    assert Runtime(out).contract.provenance.package == "leapp"
