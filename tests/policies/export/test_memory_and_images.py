"""Policies with a memory, or with images among their observations, export as they act."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from untrained import provenance

from isthmus_deploy.policy.policy_file import TOLERANCE, parse
from isthmus_policies.evaluation.runners import batch_session
from isthmus_policies.export.export import export_policy
from isthmus_policies.networks.policy import POLICIES, make_policy
from isthmus_sim.rendering.offscreen import available_backend
from isthmus_sim.tasks import make_task

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own

NOWHERE = provenance("t")


def test_a_recurrent_policys_memory_is_the_contracts(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    task = make_task("quadrotor")
    policy = make_policy("gru", POLICIES["gru"].config, dict(task.groups), task.action_size).eval()
    model, error, recording = export_policy(task, policy, NOWHERE)
    contract = parse(model).contract
    assert error <= TOLERANCE
    assert recording.resets > 0
    own = [m for m in contract.memory if m.name.startswith("policy_")]
    assert {m.name.removeprefix("policy_"): m.shape for m in own} == {n: g.shape for n, g in policy.memory.items()}
    moved = recording.memory[5][f"memory_{own[0].name}"]
    assert np.abs(moved).max() > 0, "the hidden state is used"


@pytest.mark.skipif(available_backend() is None, reason="needs off-screen OpenGL: apt-get install libegl1 libopengl0")
def test_images_enter_the_graph_as_bytes():
    torch.manual_seed(0)
    task = make_task("reach_cube")
    policy = make_policy("cnn", POLICIES["cnn"].config, dict(task.groups), task.action_size).eval()
    model, error, _ = export_policy(task, policy, NOWHERE)
    assert error <= TOLERANCE
    image = next(s for s in parse(model).contract.signals if s.name == "camera_scene")
    assert (image.shape, image.dtype) == ((64, 64, 3), "uint8")
    inputs = {item.name: item.type for item in batch_session(model).get_inputs()}
    assert inputs["camera_scene"] == "tensor(uint8)"
