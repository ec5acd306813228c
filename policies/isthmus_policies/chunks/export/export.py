"""Exporting a run of chunks: the policy as one ONNX graph with its contract, replayed and judged before it is
written."""

from __future__ import annotations

import datetime
from dataclasses import asdict, replace
from pathlib import Path

from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_deploy.contracts.contract import Contract, Provenance
from isthmus_deploy.policy.policy_file import seal
from isthmus_policies.chunks.chunk_policy import CHUNK_POLICIES, ChunkPolicy
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.export.contract import make_chunk_contract
from isthmus_policies.chunks.export.graph import compile_chunks
from isthmus_policies.chunks.export.monitor import compile_chunk_scores
from isthmus_policies.chunks.export.replay import ChunkRecording, chunk_error, make_chunk_vectors, newest, record_chunks
from isthmus_policies.chunks.inference import GraphInference
from isthmus_policies.chunks.monitor.fit import ChunkMonitorConfig, make_monitor
from isthmus_policies.chunks.runner import graph_runner
from isthmus_policies.chunks.training.run import ChunkRun
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.runners import batch_session
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.contract import NOWHERE
from isthmus_policies.export.written import EVALUATION_SEED, ExportError, check_error, package_of, write_policy
from isthmus_policies.files import plain
from isthmus_sim.engines import ENGINES
from isthmus_sim.robots import ROBOTS
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS, make_task


def export_chunk_run(
    run: ChunkRun,
    name: str,
    executor: ExecutorConfig,
    out: Path,
    episodes: int,
    watched: ChunkMonitorConfig | None = None,
) -> Evaluation:
    """Compile, replay, evaluate the graph itself, write.

    Args:
        run: Whose policy.
        name: The registered task whose robot it is for, and on which it is judged.
        executor: How its chunks are run.
        out: The file to write.
        episodes: Of the evaluation that the contract states.
        watched: How its monitor is made; None for none.

    Raises:
        ExportError: the graph does not do what the policy does; nothing was written.
        ValueError, OSError: the policy does not fit the task's robot, succeeds too seldom for a monitor, or the file
            cannot be written.
    """
    task = make_task(name)
    print("compiling, and replaying what the policy does", flush=True)
    model, contract, recording, error = compiled(task, run.policy, executor)
    session = batch_session(model)
    print(f"evaluating {episodes} episodes of {task.episode_steps} steps", flush=True)
    score = evaluate(task, lambda env: graph_runner(session, contract, env), episodes, EVALUATION_SEED)
    contract = replace(contract, provenance=make_chunk_provenance(run, name, score))
    margins = Margins(task)
    margins.check(newest(step) for step in recording.inferred)
    vectors, scores = make_chunk_vectors(task.robot, contract, recording, margins.of), None
    if watched is not None:
        print(f"trying {watched.episodes} episodes for the monitor", flush=True)
        scorer, monitor = make_monitor(task, run.policy, executor, watched)
        contract = replace(contract, monitor=monitor)
        scores, vectors = compile_chunk_scores(scorer, task.robot, contract, vectors, watched.seed)
    sealed = seal(model, contract, vectors, margins.model, scores)
    chunks = sum(len(step.chunks) for step in recording.inferred)
    write_policy(out, sealed, score, f"{chunks} recorded chunks with {recording.resets} resets", error)
    return score


def compiled(
    task: Task, policy: ChunkPolicy, executor: ExecutorConfig
) -> tuple[bytes, Contract, ChunkRecording, float]:
    """The graph, its contract without provenance, the recording that it was replayed on, and the replay's worst error.

    Raises:
        ExportError: the graph and the trained policy differ by more than the tolerance, or the replay saw no reset.
        ValueError: the policy does not fit the task's robot, or keeps what graphs cannot keep yet.
    """
    if executor.strategy == "real_time":
        raise ValueError(
            "real_time needs a graph that keeps what is executed while it computes, and none does yet; strategies of "
            "exported policies: receding, ensemble, warm_start (which begins near to the chunk before, too)"
        )
    contract = make_chunk_contract(task, policy, executor, NOWHERE)
    recording = record_chunks(task, policy, executor, EVALUATION_SEED + 1)
    if recording.resets == 0:
        raise ExportError("the recorded roll-out had no episode end: how episodes begin would go unchecked")
    model = compile_chunks(policy, task.robot, contract)
    error = chunk_error(GraphInference(batch_session(model), contract, task.robot), contract, recording)
    check_error(error)
    return model, contract, recording, error


def make_chunk_provenance(run: ChunkRun, name: str, score: Evaluation) -> Provenance:
    """Where the policy of a run comes from."""
    config, entry = run.config, TASKS[name]
    origin = TASKS.origin(name)
    used = [(TASKS, name), (ROBOTS, entry.robot), (CHUNK_POLICIES, config.method_name), (ENGINES, score.engine)]
    if CHUNK_POLICIES[config.method_name].denoises:
        used.append((DENOISERS, config.denoiser_name))
    return Provenance(
        task=name,
        task_config=plain(entry.config),
        package=origin.package,
        package_version=origin.version,
        robot_model=entry.robot,
        engine=score.engine,
        code_revision=run.facts["code_revision"],
        seed=config.seed,
        data=f"{', '.join(path.name for path in config.datasets)}; windows {run.facts['windows']}",
        evaluation=asdict(score),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        packages=dict(package_of(registry, each) for registry, each in used),
    )
