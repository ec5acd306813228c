"""A policy as LEAPP's ONNX and YAML: read back here, by ONNX Runtime, and by `leapp` itself where it is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import standing_policy
import yaml
from untrained import provenance

from isthmus_deploy.policy.policy_file import read
from isthmus_policies.export.leapp import LeappError, read_leapp, unstated, write_leapp
from isthmus_policies.export.leapp_command import show
from isthmus_sim.robots.quadruped.description import ROBOT

THEIRS = Path(__file__).parent / "leapp_walker"
"""Written by leapp 0.7.2: three joints, a command of two numbers without kind, and what it did last."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "standing.onnx"
    path.write_bytes(standing_policy.policy_file(provenance=provenance("quadruped", robot_model="quadruped")))
    return path


@pytest.fixture
def written(policy: Path, tmp_path: Path) -> Path:
    return write_leapp(policy, tmp_path / "leapp")


def test_what_was_written_is_read_back(policy: Path, written: Path):
    contract, found = read(policy).contract, read_leapp(written)
    assert [tensor.name for tensor in found.inputs] == [signal.name for signal in contract.signals]
    assert [tensor.name for tensor in found.outputs] == [command.name for command in contract.commands]
    joints = next(tensor for tensor in found.inputs if tensor.name == "joint_position")
    assert (joints.kind, joints.elements, joints.shape) == ("state/joint/position", tuple(ROBOT.joints), (1, 12))
    assert joints.further["unit"] == "rad"
    assert found.outputs[0].kind == "target/joint/position"
    assert found.frequency == pytest.approx(50.0)
    assert read(found.model).contract == contract, "the model is the policy file itself"
    for memory in contract.memory:
        assert found.feedback[f"next_memory_{memory.name}"] == f"memory_{memory.name}"
        assert found.initial[f"memory_{memory.name}"].shape == (1, *memory.shape)
    assert unstated(found) == unstated(read_leapp(THEIRS / "walker.yaml"))[-5:], "what LEAPP has no place for, alone"


def test_another_model_than_the_one_described_is_refused(written: Path):
    model = written.parent / "policy.onnx"
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(LeappError, match=r"policy\.onnx: is not the model described"):
        read_leapp(written)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("pipeline"), "is no LEAPP description: it lacks pipeline"),
        (lambda d: d["models"].update(second={}), r"has 2 models \(policy, second\)"),
        (lambda d: d["models"]["policy"]["parameters"].update(backend="pt2"), "of the backend 'pt2'"),
        (lambda d: d["models"]["policy"]["inputs"][0].pop("shape"), "is malformed: KeyError"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(written: Path, change, words: str):
    document = yaml.safe_load(written.read_text())
    change(document)
    written.write_text(yaml.safe_dump(document))
    with pytest.raises(LeappError, match=words):
        read_leapp(written)


# --- theirs ---


def test_a_description_of_theirs_is_read_with_what_it_leaves_out():
    found = read_leapp(THEIRS / "walker.yaml")
    assert [(t.name, t.kind, t.elements) for t in found.inputs] == [
        ("joint_position", "state/joint/position", ("a", "b", "c")),
        ("joint_velocity", "state/joint/velocity", ("a", "b", "c")),
        ("command", None, None),
    ]
    assert found.feedback == {"last_out": "last_in"}
    np.testing.assert_array_equal(found.initial["last_in"], np.full((1, 3), 0.25, np.float32))
    assert found.frequency == 50.0
    lacking = unstated(found)
    assert "inputs.joint_position: unit, frame, minimum, maximum, max_age_s" in lacking
    assert "inputs.command: the order of its elements, unit, frame, minimum, maximum, max_age_s" in lacking
    assert "outputs.joint_target: unit, frame, minimum, maximum, max_rate" in lacking
    assert "not stated:" in show(found)


def test_their_model_runs_as_it_is_described():
    found = read_leapp(THEIRS / "walker.yaml")
    session = onnxruntime.InferenceSession(str(found.model), providers=["CPUExecutionProvider"])
    given = {t.name: np.zeros(t.shape, np.float32) for t in found.inputs} | dict(found.initial)
    target, last = map(np.asarray, session.run([found.outputs[0].name, "last_out"], given))
    np.testing.assert_array_equal(target, last)
    assert target.shape == found.outputs[0].shape


# --- leapp itself ---

_RUN = """
import sys, numpy, torch
from leapp.inference_manager import InferenceManager
manager = InferenceManager(sys.argv[1])
given = {name: torch.from_numpy(value)[None] for name, value in numpy.load(sys.argv[2]).items()}
for step in range(2):
    out = manager({f"policy/{name}": value for name, value in given.items()})
numpy.savez(sys.argv[3], **{name.split("/")[1]: value.numpy() for name, value in out.items()})
"""


def test_leapp_runs_it_as_the_graph_runs(policy: Path, written: Path, tmp_path: Path):
    """Two steps, so that what is fed back counts."""
    python = os.environ.get("ISTHMUS_LEAPP_PYTHON", "")
    if not python:
        pytest.skip("leapp is not here: ISTHMUS_LEAPP_PYTHON=an interpreter that has leapp 0.7.2")
    file = read(policy)
    readings = file.replay[0].signals
    np.savez(tmp_path / "in.npz", **dict(readings))  # pyright: ignore[reportArgumentType]
    subprocess.run(
        [python, "-c", _RUN, str(written), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")], check=True, timeout=120
    )
    session = onnxruntime.InferenceSession(file.model, providers=["CPUExecutionProvider"])
    memory, found = dict(read_leapp(written).initial), read_leapp(written)
    names = [output.name for output in session.get_outputs()]
    for _ in range(2):
        results = dict(zip(names, session.run(names, {n: v[None] for n, v in readings.items()} | memory), strict=True))
        memory = {target: results[source] for source, target in found.feedback.items()}
    theirs = np.load(tmp_path / "out.npz")
    for command in file.contract.commands:
        np.testing.assert_allclose(theirs[command.name], np.asarray(results[command.name]), rtol=0, atol=1e-6)
