"""The exported graph does what the trained policy does, from raw signals to motor commands, or it is not written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import untrained
from rich.console import Console

from isthmus_deploy.contracts.contract import Contract, Provenance
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.policy.policy_file import TOLERANCE, parse, read
from isthmus_deploy.policy.runtime import Runtime
from isthmus_policies.evaluation import play
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner, initial_memory, run_graph
from isthmus_policies.export import export
from isthmus_policies.export.contract import check_contract, make_contract
from isthmus_policies.export.export import ExportError, export_policy, export_run, make_provenance
from isthmus_policies.export.graph import PolicyGraph, compile_graph
from isthmus_policies.export.replay import Recording, record, replay_error
from isthmus_policies.files import plain
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.networks.policy import Policy
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from isthmus_policies.training.run import load_run
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS, make_task

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own

NOWHERE = untrained.provenance(
    "quadrotor", task_config=plain(TASKS["quadrotor"].config), robot_model="crazyflie", engine="analytic"
)


@pytest.fixture(scope="module")
def policy(run_folder: Path) -> ActorCritic:
    """A trained policy whose actions leave [-1, 1] now and then: clipping must be in the graph."""
    loaded = load_run(run_folder).policy
    assert isinstance(loaded, ActorCritic)
    with torch.no_grad():
        loaded.actor[-1].weight *= 3  # pyright: ignore
    return loaded


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task("quadrotor")


@pytest.fixture(scope="module")
def exported(policy: ActorCritic, task: Task) -> tuple[bytes, float, Recording]:
    return export_policy(task, policy, NOWHERE)


@pytest.fixture(scope="module")
def plain_graph(policy: ActorCritic, task: Task) -> bytes:
    """The compiled graph without contract: compiling takes seconds."""
    return compile_graph(PolicyGraph(task, policy))


@pytest.fixture
def path(exported: tuple[bytes, float, Recording], tmp_path: Path) -> Path:
    file = tmp_path / "policy.onnx"
    file.write_bytes(exported[0])
    return file


# What is in the file
# ---------------------------------------------------------------------------------------------------------------------
def test_the_graph_was_replayed_over_a_thousand_steps_with_resets(exported: tuple[bytes, float, Recording]):
    _, error, recording = exported
    commands = np.stack([step["rotor_speed"] for step in recording.commands])
    assert commands.shape[0] * commands.shape[1] >= 1000
    assert recording.resets >= 10
    assert 0 < error <= TOLERANCE
    assert commands.min() == 0.0, "some command was clipped"
    assert np.ptp(commands) > 1000, "and they are not all the same"


def test_any_number_of_robots_at_once(exported: tuple[bytes, float, Recording], policy: ActorCritic, task: Task):
    session, contract = onnxruntime.InferenceSession(exported[0]), parse(exported[0]).contract
    env = Env(task, make_engine(task.scene, 37, "analytic"), seed=3)
    observations = env.reset()
    signals = {name: value.numpy() for name, value in env.signals.items()}
    with torch.no_grad():
        expected = task.act(policy.act(observations, {}, {})[0].clamp(-1, 1), {}, {})["rotor_speed"].numpy()
    for n in (1, 2, 37):
        some = {name: value[:n] for name, value in signals.items()}
        commands, memory = run_graph(session, contract, some, initial_memory(contract, n))
        np.testing.assert_allclose(commands["rotor_speed"], expected[:n], rtol=0, atol=0.02)
        assert memory["memory_actions"].shape == (n, 32, 4)


def test_what_a_contract_could_not_say_is_refused_before_training():
    """Ranges of what nobody is asked for, and a robot that contradicts itself."""
    task = make_task("quadrotor")
    policy = ActorCritic(task.groups, task.action_size, ActorCriticConfig())
    task.goal_range = {"place": ((0.0,), (1.0,))}
    with pytest.raises(ValueError, match="goal_range names place, which crazyflie is not asked for; its goals are:"):
        check_contract(task, policy)
    task.goal_range = {}
    with pytest.raises(ContractError, match=r"signals\[4\].trained_around: given, but there is no trained range"):
        check_contract(task, policy)
    task.goal_around = {}
    check_contract(task, policy)
    command = dataclasses.replace(task.robot.commands[0], safe=(-1.0,) * 4)
    task.robot = dataclasses.replace(task.robot, commands=(command,))
    with pytest.raises(ContractError, match=r"on the robot 'crazyflie': commands\[0\].safe: -1.0 for .* is outside"):
        check_contract(task, policy)


def test_a_policy_that_reads_what_only_simulation_has_is_refused(task: Task):
    knowing = ActorCritic(task.groups, task.action_size, ActorCriticConfig(actor_groups=("actor", "critic")))
    with pytest.raises(ValueError, match=r"reads 'critic', which only simulation has.*; train one that reads: actor"):
        PolicyGraph(task, knowing)


def test_the_contract_is_the_robots_description(exported: tuple[bytes, float, Recording], task: Task):
    contract = parse(exported[0]).contract
    assert contract.robot == "crazyflie"
    assert contract.control_period_s == 0.01
    assert [s.name for s in contract.signals] == [s.name for s in task.robot.signals]
    found_items = (*contract.signals, *contract.commands)
    for found, spec in zip(found_items, (*task.robot.signals, *task.robot.commands), strict=True):
        assert found.shape == (len(spec.order),)
        for field in dataclasses.fields(spec):
            if field.name == "sensor":  # how simulation groups readings; a message on the robot
                continue
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
    assert make_task("quadrotor").trained_latency_s == 0.0
    assert make_task("quadrotor-randomized").trained_latency_s == pytest.approx(0.04)


def test_a_goal_is_held_to_what_training_asked_for(policy: ActorCritic):
    walk = make_task("quadruped")
    goal = next(s for s in make_contract(walk, policy, NOWHERE).signals if s.name == "linear_velocity_command")
    assert (goal.trained_minimum, goal.trained_maximum) == ((-0.8, -0.4), (1.0, 0.4))
    assert goal.maximum == (3.8, 1.0)


def test_the_graph_takes_what_the_robot_has_and_nothing_else(exported: tuple[bytes, float, Recording], task: Task):
    session = onnxruntime.InferenceSession(exported[0])
    names = [spec.name for spec in task.robot.signals]
    assert [i.name for i in session.get_inputs()] == [*names, "memory_actions"]
    assert [o.name for o in session.get_outputs()] == ["rotor_speed", "next_memory_actions"]


# On the robot
# ---------------------------------------------------------------------------------------------------------------------
def test_the_runtime_flies_as_the_policy_does(path: Path, policy: ActorCritic, task: Task):
    """One robot through several episodes: the runtime's commands on its own memory are the policy's, step by step."""
    runtime = Runtime(path)
    env = Env(task, make_engine(task.scene, 1, "analytic"), seed=5)
    observations, ends = env.reset(), 0
    for _ in range(200):
        found = runtime.step({name: value[0].numpy() for name, value in env.signals.items()})["rotor_speed"].copy()
        with torch.no_grad():
            action = policy.act(observations, {}, {})[0].clamp(-1.0, 1.0)
        np.testing.assert_allclose(found, task.act(action, {}, {})["rotor_speed"][0].numpy(), rtol=0, atol=0.03)
        step = env.step(action)
        observations = step.observations
        if len(step.ended):
            runtime.reset()
            ends += 1
    assert ends >= 2


def scaled_run(run_folder: Path, folder: Path) -> Path:
    """The run with the weights of `policy`."""
    tensors, facts = load_checkpoint(run_folder / CHECKPOINT)
    last = max(name for name in tensors if name.startswith("policy.actor.") and name.endswith("weight"))
    folder.mkdir()
    save_checkpoint(folder / CHECKPOINT, tensors | {last: 3 * tensors[last]}, facts)
    return folder


def test_played_the_graph_scores_as_the_policy(path: Path, run_folder: Path):
    """The same starts, the same noise: what differs is rounding, far inside of the interval."""
    run = scaled_run(run_folder, path.parent / "of_the_run")
    console = Console(quiet=True)
    graph = play.play(play.Options(exported=path, episodes=100, seed=7, video=False), console)
    network = play.play(play.Options(run=run, episodes=100, seed=7, video=False), console)
    low, mean, high = network.total_reward
    assert low < graph.total_reward[1] < high
    assert graph.total_reward[1] == pytest.approx(mean, rel=0.02)
    assert abs(graph.success[1] - network.success[1]) <= 0.02
    assert graph.episodes == network.episodes == 100
    assert json.loads((path.parent / "evaluation.json").read_text())["total_reward"] == list(graph.total_reward)


# Refusals
# ---------------------------------------------------------------------------------------------------------------------
def another_policy(graph: bytes) -> Callable[[PolicyGraph], bytes]:
    """Compiles, whatever it is asked for, a graph that is already there."""
    return lambda _: graph


def test_a_graph_that_differs_is_not_written(
    plain_graph: bytes, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The graph of a policy with other weights: the file that was there stays as it was, and no rest is left."""
    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    out = tmp_path / "policy.onnx"
    out.write_bytes(b"the previous policy")
    with pytest.raises(ExportError, match=r"differ by .* of the command's range, more than 1e-05: nothing written"):
        export_run(run_folder, out, episodes=2)
    assert out.read_bytes() == b"the previous policy"
    assert [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]


def test_a_slight_difference_is_enough(
    plain_graph: bytes, policy: ActorCritic, task: Task, monkeypatch: pytest.MonkeyPatch
):
    """A hundredth of a percent on one bias: 20 times the tolerance."""
    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    bias = policy.actor[-1].bias
    with torch.no_grad():
        bias[0] += 4e-4  # pyright: ignore
    try:
        with pytest.raises(ExportError, match=r"differ by 0\.000[2-9]"):
            export_policy(task, policy, NOWHERE)
    finally:
        with torch.no_grad():
            bias[0] -= 4e-4  # pyright: ignore


def test_a_graph_that_forgets_to_reset_its_memory_is_found(
    plain_graph: bytes, policy: ActorCritic, monkeypatch: pytest.MonkeyPatch
):
    """The contract's memory starts with other values than training's."""

    def contract(task: Task, policy: Policy, provenance: Provenance) -> Contract:
        right = make_contract(task, policy, provenance)
        return dataclasses.replace(right, memory=(dataclasses.replace(right.memory[0], initial=0.5),))

    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    monkeypatch.setattr(export, "make_contract", contract)
    with pytest.raises(ExportError, match="differ by"):
        export_policy(make_task("quadrotor"), policy, NOWHERE)


def test_a_replay_without_a_reset_is_not_enough(
    plain_graph: bytes, policy: ActorCritic, monkeypatch: pytest.MonkeyPatch
):
    def no_ends(task: Task, policy: Policy, seed: int, engine: str | None) -> Recording:
        recording = record(task, policy, seed, engine)
        return dataclasses.replace(recording, ended=[np.array([], dtype=np.int64) for _ in recording.ended])

    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    monkeypatch.setattr(export, "record", no_ends)
    with pytest.raises(ExportError, match="no episode end"):
        export_policy(make_task("quadrotor"), policy, NOWHERE)


def test_an_error_that_is_no_number_is_no_match(exported: tuple[bytes, float, Recording]):
    """max(0.0, nan) would be 0.0, a perfect score."""
    model, _, recording = exported
    commands = [{name: value.copy() for name, value in step.items()} for step in recording.commands]
    commands[40]["rotor_speed"][3, 1] = float("nan")
    spoiled = dataclasses.replace(recording, commands=commands)
    session = onnxruntime.InferenceSession(model)
    assert np.isnan(replay_error(session, parse(model).contract, spoiled))
    assert replay_error(session, parse(model).contract, recording) <= TOLERANCE


def test_a_run_is_exported_with_its_evaluation(
    plain_graph: bytes, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = scaled_run(run_folder, tmp_path / "run")
    monkeypatch.setattr(export, "compile_graph", another_policy(plain_graph))
    path, score = export_run(run, tmp_path / "out.onnx", episodes=4)
    provenance, loaded = read(path).contract.provenance, load_run(run)
    assert provenance.evaluation["success"] == list(score.success)
    assert provenance.evaluation["success_is"] == "lasted to the end"
    assert provenance.evaluation["episodes"] == 4
    assert (provenance.task, provenance.seed) == ("quadrotor", loaded.config.seed)
    assert (provenance.package, provenance.engine, provenance.robot_model) == ("isthmus", "analytic", "crazyflie")
    assert provenance.task_config["episode_steps"] == loaded.config.task.episode_steps
    assert provenance.code_revision == loaded.facts["code_revision"]
    made_with = ("task quadrotor", "robot crazyflie", "policy mlp", "algorithm ppo", "engine analytic")
    assert provenance.packages == dict.fromkeys(made_with, f"isthmus {version('isthmus')}")


@pytest.mark.parametrize(("source", "lends"), [("rex.toml", "biped"), ("rex.xml", "crazyflie")])
def test_of_a_users_model_the_robot_that_lends_the_rest_is_named(
    run_folder: Path, tmp_path: Path, source: str, lends: str
):
    """Nobody registered the file itself."""
    (tmp_path / "rex.toml").write_text('name = "rex"\nbase = "biped"\nmodel = "rex.xml"\n')
    (tmp_path / "rex.xml").touch()
    run = load_run(run_folder)
    config = dataclasses.replace(run.config, robot=str(tmp_path / source))
    score = evaluate(run.task, lambda env: NetworkRunner(run.policy, env), 2, 0, engine=run.engine)
    packages = make_provenance(dataclasses.replace(run, config=config), score).packages
    assert [what for what in packages if what.startswith("robot ")] == [f"robot {lends}"]


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
    with pytest.raises(ValueError, match=r"unknown task 'walk'; there are: .*quadrotor"):
        play.play(play.Options(exported=path, task="walk", video=False), Console(quiet=True))
