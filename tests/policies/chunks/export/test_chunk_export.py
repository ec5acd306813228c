"""A run of chunks is exported and played; what does not do what the policy does is not written."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pusher_chunks import SPEC, untrained_chunks, write_untrained_run
from rich.console import Console

from isthmus_datasets.format.reader import DatasetReader
from isthmus_deploy.policy.policy_file import PolicyFileError, read, seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.export import export as chunk_export
from isthmus_policies.chunks.export.export import compiled
from isthmus_policies.chunks.export.graph import compile_chunks
from isthmus_policies.chunks.export.replay import ChunkRecording, make_chunk_vectors, newest, record_chunks
from isthmus_policies.chunks.runner import usual_executor
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.policy_operator import PolicyOperator
from isthmus_policies.demonstrate.record import main as record
from isthmus_policies.evaluation import play
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.export import ExportError, Options, export
from isthmus_sim.robots import ROBOTS
from isthmus_sim.task import Condition
from isthmus_sim.tasks import TASKS, make_task

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own
RECEDING = usual_executor(SPEC.horizon)


@pytest.fixture(scope="module", autouse=True)
def short_episodes():
    """Push-T of 20 steps, also for what is rebuilt from a contract."""
    entry, patch = TASKS["push_t"], pytest.MonkeyPatch()
    patch.setitem(TASKS._loaded, "push_t", replace(entry, config=replace(entry.config, episode_steps=20)))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which a warm-started policy was exported."""
    run = write_untrained_run(tmp_path_factory.mktemp("chunks") / "run", "flow")
    export(Options(run=run, episodes=2, execute=3, strategy="warm_start"))
    return run


@pytest.fixture(scope="module")
def path(run: Path) -> Path:
    return run / "policy.onnx"


@pytest.fixture(scope="module")
def recording() -> ChunkRecording:
    return record_chunks(make_task("push_t"), untrained_chunks("mip"), RECEDING, 3)


def test_the_contract_says_how_the_chunks_are_run_and_where_they_come_from(path: Path):
    contract = read(path).contract
    chunk, provenance = contract.chunk, contract.provenance
    assert chunk is not None
    assert (chunk.horizon, chunk.observed, chunk.execute, chunk.strategy) == (8, 2, 3, "warm_start")
    assert chunk.tolerated_latency_s == pytest.approx(0.5)
    assert contract.memory == ()
    assert (provenance.task, provenance.engine, provenance.robot_model) == ("push_t", "mujoco", "pusher")
    assert provenance.task_config["episode_steps"] == 20
    assert (provenance.data, provenance.code_revision) == ("pushes; windows 12-00ff00ff", "abc")
    assert provenance.evaluation["episodes"] == 2
    made_with = {"task push_t", "robot pusher", "chunk policy flow", "denoiser mlp", "engine mujoco"}
    assert set(provenance.packages) == made_with


def test_conditions_travel_with_chunks(tmp_path: Path):
    """The newest reading is judged, of the two that the policy reads."""
    task = make_task("push_t")
    left = Condition(margin=lambda signals: signals["agent_position"][:, 0] - 128.0, unit="px", description="is right")
    task.conditions = {"disc": left}
    model, contract, recording, _ = compiled(task, untrained_chunks("mip"), RECEDING)
    margins = Margins(task)
    margins.check(newest(step) for step in recording.inferred)
    vectors = make_chunk_vectors(task.robot, contract, recording, margins.of)
    assert vectors[0].margins.tolist() == [vectors[0].signals["agent_position"][-1, 0] - 128.0]
    path = tmp_path / "policy.onnx"
    path.write_bytes(seal(model, contract, vectors, margins.model))
    signals = {name: value[-1] for name, value in vectors[0].signals.items()}
    place = np.array([120.0, 1.0], np.float32)
    cause = Runtime(path).conditions().judge({**signals, "agent_position": place}, "standby")
    assert cause == "disc: 8 px beyond what training had (is right)"
    swapped = [replace(step, margins=step.margins + 0.1) for step in vectors]
    path.write_bytes(seal(model, contract, swapped, margins.model))
    with pytest.raises(PolicyFileError, match="its margins are off by"):
        Runtime(path)


def test_the_runtime_takes_the_file_with_its_test_vectors_of_both_kinds(path: Path):
    replay = read(path).replay
    assert [bool(step.begin) for step in replay] == [False, False, True, True]
    runtime = Runtime(path)
    signals = {name: np.stack([value[-1]] * 2) for name, value in replay[0].signals.items()}
    first = runtime.step(signals)["target_position"].copy()
    assert first.shape == (8, 2)
    assert np.isfinite(runtime.step(signals, begin={"target_position": first})["target_position"]).all()


@pytest.mark.parametrize("exported", [True, False])
def test_it_is_played_through_its_graph_and_as_it_was_trained(run: Path, path: Path, exported: bool):
    what: dict[str, Any] = {"exported": path} if exported else {"run": run}
    score = play.play(play.Options(**what, episodes=2, video=False), Console(quiet=True))
    assert (score.robot, score.episodes) == ("pusher", 2)
    assert (run / "evaluation.json").exists()


def test_a_recording_has_windows_at_all_ages_and_those_of_episodes_that_just_began(recording: ChunkRecording):
    assert recording.resets > 0
    still = [
        torch.stack([(window[:, 0] == window[:, 1]).all(-1) for window in step.seen.values()]).all(0)
        for step in recording.inferred
    ]
    assert still[0].all(), "where a roll-out begins, the first reading stands for the one before"
    assert len(still) > 64 // RECEDING.execute, "worlds that begin anew are asked at once"
    assert sum(int(rows.sum()) for rows in still[1:]) > 0
    assert not torch.cat(still).all()


def test_a_graph_of_another_policy_is_not_exported(monkeypatch: pytest.MonkeyPatch, recording: ChunkRecording):
    def another(policy: ChunkPolicy, *rest: object) -> bytes:
        with torch.no_grad():
            next(policy.denoiser.leave.parameters()).mul_(1.01)  # pyright: ignore
        return compile_chunks(policy, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(chunk_export, "compile_chunks", another)
    monkeypatch.setattr(chunk_export, "record_chunks", lambda *_: recording)
    with pytest.raises(ExportError, match="differ by"):
        compiled(make_task("push_t"), untrained_chunks("mip"), RECEDING)
    monkeypatch.setattr(chunk_export, "record_chunks", lambda *_: replace(recording, resets=0))
    with pytest.raises(ExportError, match="no episode end"):
        compiled(make_task("push_t"), untrained_chunks("mip"), RECEDING)


def test_an_exported_run_without_a_task_or_with_what_graphs_cannot_do_is_refused(tmp_path: Path):
    run = write_untrained_run(tmp_path / "run", "mip", task=None)
    with pytest.raises(ValueError, match="--task"):
        export(Options(run=run))
    with pytest.raises(ValueError, match="--task"):
        play.play(play.Options(run=run), Console(quiet=True))
    with pytest.raises(ValueError, match="real_time"):
        export(Options(run=run, task="push_t", strategy="real_time"))
    with pytest.raises(ValueError, match="actions of a chunk of 8"):
        export(Options(run=run, task="push_t", execute=0))
    with pytest.raises(ValueError, match="observes"):
        export(Options(run=run, task="reach_cube"))
    with pytest.raises(ValueError, match="--execute"):
        export(Options(run=tmp_path, execute=2))
    assert list(run.iterdir()) == [run / "policies"]


def test_an_altered_file_is_not_played(path: Path, tmp_path: Path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    altered = tmp_path / "policy.onnx"
    altered.write_bytes(data)
    with pytest.raises(PolicyFileError, match="altered"):
        play.play(play.Options(exported=altered, video=False), Console(quiet=True))


def test_it_neither_plays_nor_drives_another_robot(path: Path):
    with pytest.raises(ValueError, match="robot"):
        play.play(play.Options(exported=path, task="reach_cube", episodes=2, video=False), Console(quiet=True))
    with pytest.raises(PolicyFileError, match="for another robot"):
        PolicyOperator(path, ROBOTS["so101"])


def driven(operator: PolicyOperator, seed: int, steps: int) -> np.ndarray:
    """What it decides in an episode, (steps, 2) px."""
    with closing(EnvRobot(make_task("push_t"))) as robot:
        robot.reset(seed)
        operator.reset(seed)
        actions = []
        for _ in range(steps):
            actions.append(operator.decide(robot.observe()).action)
            robot.act(actions[-1])
    return np.array(actions)


def test_it_drives_a_recording_as_it_drives_a_robot(path: Path):
    operator, runtime = PolicyOperator(path, ROBOTS["pusher"]), Runtime(path)
    actions = driven(operator, 3, 7)
    np.testing.assert_array_equal(driven(operator, 3, 7), actions)
    assert (driven(operator, 4, 7) != actions).any()
    with closing(EnvRobot(make_task("push_t"))) as robot:
        robot.reset(3)
        signals = robot.signals(robot.observe())
    random = np.random.default_rng(3)
    noise = {item.name: random.standard_normal(item.shape, np.float32) for item in runtime.contract.noise}
    chunk = runtime.step({name: np.stack([value] * 2) for name, value in signals.items()}, noise)["target_position"]
    np.testing.assert_array_equal(actions[:3], chunk[:3], "until the next inference, which is due at the fourth step")
    assert (actions[3] != chunk[3]).any()


def test_it_plans_anew_when_a_person_gives_control_back(path: Path):
    operator = PolicyOperator(path, ROBOTS["pusher"])
    with closing(EnvRobot(make_task("push_t"))) as robot:
        robot.reset(3)
        operator.reset(3)
        seen = robot.observe()
        planned = [operator.decide(seen).action for _ in range(2)]
        operator.resume()
        again = operator.decide(seen).action
    operator.reset(3)
    kept = [operator.decide(seen).action for _ in range(3)]
    np.testing.assert_array_equal(kept[:2], planned)
    assert (kept[2] != again).any()


def test_it_is_recorded_from_the_command_line(path: Path, tmp_path: Path):
    record(
        ["push_t", str(tmp_path / "d"), "--policy", str(path), "--episodes", "1", "--max-seconds", "1", "--no-images"]
    )
    (row,) = DatasetReader(tmp_path / "d").episodes
    assert (row.length, row.facts["operator"]) == (10, "policy policy")
