"""The exported graph does what the trained policy does, from raw signals to motor commands, or it is not written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from isthmus_sim.tasks.quadrotor import Quadrotor, randomized
from rich.console import Console

from isthmus_deploy.contract import Contract, Provenance
from isthmus_deploy.policy_file import TOLERANCE, parse, read
from isthmus_deploy.runtime import Runtime
from isthmus_policies.evaluation import evaluate as evaluation
from isthmus_policies.evaluation import play
from isthmus_policies.evaluation.evaluate import initial_memory, run_graph
from isthmus_policies.export import export
from isthmus_policies.export.export import ExportError, compile_graph, export_policy, export_run, make_contract, record
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.training.trainer import load_policy
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.env import Env

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own

NOWHERE = Provenance(
    task="quadrotor",
    task_config={},
    package="isthmus",
    package_version="0",
    robot_model="own",
    engine="mujoco",
    code_revision="r",
    seed=0,
    data=None,
    evaluation={},
    created="2026-01-01",
)


@pytest.fixture(scope="module")
def policy(run_folder: Path) -> ActorCritic:
    """A trained policy whose actions leave [-1, 1] now and then: clipping must be in the graph."""
    loaded = load_policy(run_folder)[1]
    with torch.no_grad():
        loaded.actor[-1].weight *= 3  # pyright: ignore
    return loaded


@pytest.fixture(scope="module")
def exported(policy: ActorCritic) -> tuple[bytes, float, export.Recording]:
    return export_policy(Quadrotor(), policy, NOWHERE)


@pytest.fixture(scope="module")
def plain_graph(policy: ActorCritic) -> bytes:
    """The compiled graph without contract: compiling takes seconds."""
    return compile_graph(export.PolicyGraph(Quadrotor(), policy))


@pytest.fixture
def path(exported: tuple[bytes, float, export.Recording], tmp_path: Path) -> Path:
    file = tmp_path / "policy.onnx"
    file.write_bytes(exported[0])
    return file


# What is in the file
# ---------------------------------------------------------------------------------------------------------------------
def test_the_graph_was_replayed_over_a_thousand_steps_with_resets(exported: tuple[bytes, float, export.Recording]):
    _, error, recording = exported
    commands = np.stack([step["rotor_speed"] for step in recording.commands])
    assert commands.shape[0] * commands.shape[1] >= 1000
    assert recording.resets >= 10
    assert 0 < error <= TOLERANCE
    assert commands.min() == 0.0, "some command was clipped"
    assert np.ptp(commands) > 1000, "and they are not all the same"


def test_any_number_of_robots_at_once(exported: tuple[bytes, float, export.Recording], policy: ActorCritic):
    session, contract = onnxruntime.InferenceSession(exported[0]), parse(exported[0]).contract
    env = Env(Quadrotor(), AnalyticQuadrotor(37), seed=3)
    observation = env.reset()["actor"]
    signals = {name: value.numpy() for name, value in env.signals.items()}
    with torch.no_grad():
        expected = Quadrotor().act(policy.act(observation).clamp(-1, 1), {}, {})["rotor_speed"].numpy()
    for n in (1, 2, 37):
        some = {name: value[:n] for name, value in signals.items()}
        commands, memory = run_graph(session, contract, some, initial_memory(contract, n))
        np.testing.assert_allclose(commands["rotor_speed"], expected[:n], rtol=0, atol=0.02)
        assert memory["memory_actions"].shape == (n, 32, 4)


def test_the_contract_is_the_robots_specification(exported: tuple[bytes, float, export.Recording]):
    contract, task = parse(exported[0]).contract, Quadrotor()
    assert contract.robot == "crazyflie"
    assert contract.control_period_s == 0.01
    assert [s.name for s in contract.signals] == [s.name for s in task.robot.signals]
    found_items = (*contract.signals, *contract.commands)
    for found, spec in zip(found_items, (*task.robot.signals, *task.robot.commands), strict=True):
        assert found.shape == (len(spec.order),)
        for field in dataclasses.fields(spec):
            assert getattr(found, field.name) == getattr(spec, field.name), (spec.name, field.name)
    orientation = next(s for s in contract.signals if s.name == "orientation")
    assert (orientation.order, orientation.frame) == (("w", "x", "y", "z"), "world_from_body")
    velocity = next(s for s in contract.signals if s.name == "linear_velocity")
    assert (velocity.unit, velocity.frame) == ("m/s", "body")
    command = contract.commands[0]
    assert command.order == ("front_right", "rear_right", "rear_left", "front_left")
    assert command.maximum == pytest.approx((2272.63,) * 4, abs=0.01)
    assert [(m.name, m.shape, m.order) for m in contract.memory] == [("actions", (32, 4), "oldest first")]
    assert contract.provenance == NOWHERE


def test_the_trained_latency_is_the_randomised_ones():
    """Velocity up to 30 ms late and a command up to 10 ms."""
    assert make_contract(Quadrotor(), NOWHERE).trained_latency_s == 0.0
    assert make_contract(Quadrotor(randomized()), NOWHERE).trained_latency_s == pytest.approx(0.04)


def test_the_graph_takes_what_the_robot_has_and_nothing_else(exported: tuple[bytes, float, export.Recording]):
    session = onnxruntime.InferenceSession(exported[0])
    names = [spec.name for spec in Quadrotor().robot.signals]
    assert [i.name for i in session.get_inputs()] == [*names, "memory_actions"]
    assert [o.name for o in session.get_outputs()] == ["rotor_speed", "next_memory_actions"]


# On the robot
# ---------------------------------------------------------------------------------------------------------------------
def test_the_runtime_flies_as_the_policy_does(path: Path, policy: ActorCritic):
    """One robot through several episodes: the runtime's commands on its own memory are the policy's, step by step."""
    runtime, task = Runtime(path), Quadrotor()
    env = Env(task, AnalyticQuadrotor(1), seed=5)
    observation, ends = env.reset()["actor"], 0
    for _ in range(200):
        found = runtime.step({name: value[0].numpy() for name, value in env.signals.items()})["rotor_speed"].copy()
        with torch.no_grad():
            action = policy.act(observation).clamp(-1.0, 1.0)
        np.testing.assert_allclose(found, task.act(action, {}, {})["rotor_speed"][0].numpy(), rtol=0, atol=0.03)
        step = env.step(action)
        observation = step.observations["actor"]
        if len(step.ended):
            runtime.reset()
            ends += 1
    assert ends >= 2


def test_played_the_graph_scores_as_the_policy(
    path: Path, policy: ActorCritic, run_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same starts, the same noise: what differs is rounding, far inside of the interval."""
    monkeypatch.setattr(play, "load_policy", lambda folder: (load_policy(run_folder)[0], policy, {}))
    out = path.parent / "of_the_run"
    out.mkdir()
    console = Console(quiet=True)
    graph = play.play(play.Options(exported=path, episodes=100, seed=7, video=False), console)
    network = play.play(play.Options(run=out, episodes=100, seed=7, video=False), console)
    low, mean, high = network.total_reward
    assert low < graph.total_reward[1] < high
    assert graph.total_reward[1] == pytest.approx(mean, rel=0.02)
    assert abs(graph.success[1] - network.success[1]) <= 0.02
    assert graph.episodes == network.episodes == 100
    assert json.loads((path.parent / "evaluation.json").read_text())["total_reward"] == list(graph.total_reward)


# Refusals
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def quick_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "EVALUATION_EPISODES", 4)
    monkeypatch.setattr(
        export, "evaluate", lambda task, make, n, seed, model: evaluation.evaluate(_short(), make, n, seed, model=model)
    )


def _short() -> Quadrotor:
    task = Quadrotor()
    task.episode_steps = 20
    return task


def another_policy(graph: bytes) -> Callable[[export.PolicyGraph], bytes]:
    """Compiles, whatever it is asked for, a graph that is already there."""
    return lambda _: graph


@pytest.mark.usefixtures("quick_evaluation")
def test_a_graph_that_differs_is_not_written(
    plain_graph: bytes, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The graph of a policy with other weights: the file that was there stays as it was, and no rest is left."""
    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    out = tmp_path / "policy.onnx"
    out.write_bytes(b"the previous policy")
    with pytest.raises(ExportError, match=r"differ by .* of the command's range, more than 1e-05: nothing written"):
        export_run(run_folder, out)
    assert out.read_bytes() == b"the previous policy"
    assert [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]


def test_a_slight_difference_is_enough(plain_graph: bytes, policy: ActorCritic, monkeypatch: pytest.MonkeyPatch):
    """A hundredth of a percent on one bias: 20 times the tolerance."""
    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    bias = policy.actor[-1].bias
    with torch.no_grad():
        bias[0] += 4e-4  # pyright: ignore
    try:
        with pytest.raises(ExportError, match=r"differ by 0\.000[2-9]"):
            export_policy(Quadrotor(), policy, NOWHERE)
    finally:
        with torch.no_grad():
            bias[0] -= 4e-4  # pyright: ignore


def test_a_graph_that_forgets_to_reset_its_memory_is_found(
    plain_graph: bytes, policy: ActorCritic, monkeypatch: pytest.MonkeyPatch
):
    """The contract's memory starts with other values than training's."""

    class WrongStart(Quadrotor):
        def __init__(self) -> None:
            super().__init__()
            self.wrong = (dataclasses.replace(self.memory[0], initial=0.5),)

    def contract(task: WrongStart, provenance: Provenance) -> Contract:
        right = make_contract(task, provenance)
        return dataclasses.replace(right, memory=(dataclasses.replace(right.memory[0], initial=0.5),))

    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    monkeypatch.setattr(export, "make_contract", contract)
    with pytest.raises(ExportError, match="differ by"):
        export_policy(WrongStart(), policy, NOWHERE)


def test_a_replay_without_a_reset_is_not_enough(
    plain_graph: bytes, policy: ActorCritic, monkeypatch: pytest.MonkeyPatch
):
    def no_ends(task: Quadrotor, policy: ActorCritic, seed: int) -> export.Recording:
        recording = record(task, policy, seed)
        return dataclasses.replace(recording, ended=[np.array([], dtype=np.int64) for _ in recording.ended])

    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    monkeypatch.setattr(export, "record", no_ends)
    with pytest.raises(ExportError, match="no episode end"):
        export_policy(Quadrotor(), policy, NOWHERE)


def test_an_error_that_is_no_number_is_no_match(exported: tuple[bytes, float, export.Recording]):
    """max(0.0, nan) would be 0.0, a perfect score."""
    model, _, recording = exported
    commands = [{name: value.copy() for name, value in step.items()} for step in recording.commands]
    commands[40]["rotor_speed"][3, 1] = float("nan")
    spoiled = dataclasses.replace(recording, commands=commands)
    session = onnxruntime.InferenceSession(model)
    assert np.isnan(export.replay_error(session, parse(model).contract, spoiled))
    assert export.replay_error(session, parse(model).contract, recording) <= TOLERANCE


@pytest.mark.usefixtures("quick_evaluation")
def test_a_run_is_exported_with_its_evaluation(
    plain_graph: bytes, policy: ActorCritic, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config, _, facts = load_policy(run_folder)
    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    monkeypatch.setattr(export, "load_policy", lambda folder: (config, policy, facts))
    path, score = export_run(run_folder, tmp_path / "out.onnx")
    provenance = read(path).contract.provenance
    assert provenance.evaluation["success"] == list(score.success)
    assert provenance.evaluation["episodes"] == 4
    assert (provenance.task, provenance.seed) == ("quadrotor", config.seed)
    assert provenance.code_revision == facts["code_revision"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (play.Options(), "give either a run's folder or --exported FILE"),
        (play.Options(run=Path("nowhere")), "no checkpoint at nowhere"),
        (play.Options(exported=Path("nowhere.onnx")), "nowhere.onnx: cannot be read"),
    ],
)
def test_nothing_to_play_is_said_so(options: play.Options, message: str):
    with pytest.raises((ValueError, OSError), match=message):
        play.play(options, Console(quiet=True))


def test_a_truncated_policy_is_not_played(path: Path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"policy\.onnx: truncated"):
        play.play(play.Options(exported=path, video=False), Console(quiet=True))


def test_a_task_that_there_is_not_is_not_played(path: Path):
    with pytest.raises(ValueError, match="unknown task 'walk'; there are: quadrotor"):
        play.play(play.Options(exported=path, task="walk", video=False), Console(quiet=True))
