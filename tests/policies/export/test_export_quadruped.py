"""A quadruped's policy as a graph: history and clock in its memory, commands into the step in place."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from untrained import provenance

from isthmus_deploy.policy.policy_file import TOLERANCE, parse
from isthmus_policies.evaluation.runners import initial_memory, run_graph
from isthmus_policies.export.export import export_policy
from isthmus_policies.export.replay import Recording
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_sim.robots.quadruped.description import JOINTS
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.velocity_config import VelocityConfig

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own


@pytest.fixture(scope="module")
def exported() -> tuple[bytes, float, Recording]:
    """The graph of a network nobody trained, whose actions leave [-1, 1] now and then."""
    torch.manual_seed(0)
    task = make_task("quadruped", VelocityConfig(episode_steps=50))
    policy = ActorCritic(dict(task.groups), task.action_size, ActorCriticConfig(actor=(32, 32), critic=(8,)))
    with torch.no_grad():
        policy.actor[-1].weight *= 10  # pyright: ignore
    return export_policy(task, policy.eval(), provenance("quadruped"))


def test_the_graph_is_the_policy_across_resets(exported: tuple[bytes, float, Recording]):
    _, error, recording = exported
    targets = np.stack([step["joint_position_target"] for step in recording.commands])
    assert 0 <= error <= TOLERANCE
    assert recording.resets > 64
    assert (np.ptp(targets, axis=(0, 1)) > 0.2).all(), "every joint was told something"


def test_its_contract_names_joints_signals_and_memory(exported: tuple[bytes, float, Recording]):
    contract, task = parse(exported[0]).contract, make_task("quadruped")
    assert contract.robot == "quadruped"
    assert contract.control_period_s == 0.02
    assert tuple(contract.joints) == JOINTS
    assert contract.commands[0].order == JOINTS
    assert [(m.name, m.shape) for m in contract.memory] == [(m.name, m.shape) for m in task.memory]
    session = onnxruntime.InferenceSession(exported[0])
    signals = [signal.name for signal in task.robot.signals]
    assert [i.name for i in session.get_inputs()] == [*signals, *(f"memory_{m.name}" for m in task.memory)]


def test_its_clock_goes_round(exported: tuple[bytes, float, Recording]):
    """By its own memory alone, several rounds: from 0 up, then from 0 again."""
    model, _, recording = exported
    contract, session = parse(model).contract, onnxruntime.InferenceSession(model)
    memory, phases = initial_memory(contract, 64), []
    for signals in recording.signals:
        _, memory = run_graph(session, contract, signals, memory)
        phases.append(float(memory["memory_phase"][0, 0]))
    advance = make_task("quadruped").config.gait.frequency_hz * 0.02
    expected = np.mod(advance * np.arange(1, len(phases) + 1), 1.0)
    apart = np.abs(np.array(phases) - expected)
    assert np.minimum(apart, 1 - apart).max() < 1e-4
    assert 0 <= min(phases) < max(phases) < 1
