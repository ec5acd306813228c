"""`isthmus-export RUN`: one ONNX graph from raw signals to motor commands, with its contract, replayed before it is
written."""

from __future__ import annotations

import datetime
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from isthmus_deploy.chunk_executor import Strategy
from isthmus_deploy.contracts.contract import Provenance
from isthmus_deploy.policy.policy_file import parse, seal
from isthmus_policies.algorithms.algorithm import ALGORITHMS
from isthmus_policies.chunks.export.export import export_chunk_run
from isthmus_policies.chunks.monitor.fit import ChunkMonitorConfig
from isthmus_policies.chunks.runner import executor_of
from isthmus_policies.chunks.training.run import holds_chunks, load_chunk_run, task_of_run
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.runners import NetworkRunner, batch_session
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.contract import make_contract
from isthmus_policies.export.graph import PolicyGraph, compile_graph
from isthmus_policies.export.monitor import compile_step_scores
from isthmus_policies.export.replay import (
    REPLAY_STEPS,
    REPLAY_WORLDS,
    Recording,
    make_test_vectors,
    record,
    replay_error,
)
from isthmus_policies.export.written import (
    EVALUATION_SEED,
    POLICY_FILE,
    ExportError,
    check_error,
    package_of,
    write_policy,
)
from isthmus_policies.files import plain
from isthmus_policies.monitor.calibration import MonitorConfig
from isthmus_policies.monitor.step_episodes import watched_steps
from isthmus_policies.monitor.steps import StepMonitorConfig, fit_step_monitor
from isthmus_policies.networks.policy import POLICIES, Policy
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.run import Run, load_run
from isthmus_sim.engines import ENGINES
from isthmus_sim.models.robot_file import read_robot_file
from isthmus_sim.robots import ROBOTS
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS
from isthmus_sim.threads import use_thread_budget

ConfigT = TypeVar("ConfigT", bound=MonitorConfig)


def export_policy(
    task: Task,
    policy: Policy,
    provenance: Provenance,
    engine: str | None = None,
    watched: StepMonitorConfig | None = None,
) -> tuple[bytes, float, Recording]:
    """The policy file's bytes, the replay's worst error, and the recording it was replayed on.

    Args:
        task: What it is for.
        policy: The trained one.
        provenance: Where it comes from.
        engine: Where it was trained; by default the task's first.
        watched: How its monitor is made; None for none.

    Raises:
        ExportError: the graph and the trained policy differ by more than the tolerance, or the replay saw no reset.
        ValueError: the policy succeeds too seldom for a monitor.
    """
    graph = PolicyGraph(task, policy)
    contract = make_contract(task, policy, provenance)
    margins = Margins(task)
    recording = record(task, policy, EVALUATION_SEED + 1, engine)
    if recording.resets == 0:
        raise ExportError("the recorded roll-out had no episode end: the memory's reset would go unchecked")
    margins.check(recording.signals)
    vectors, scores = make_test_vectors(graph, contract, recording, margins.of), None
    if watched is not None:
        print(f"trying {watched.episodes} episodes for the monitor", flush=True)
        tried = watched_steps(task, policy, watched.episodes, watched.seed, engine)
        scorer, monitor = fit_step_monitor(policy, task.robot, watched, tried)
        contract = replace(contract, monitor=monitor)
        scores, vectors = compile_step_scores(scorer, task, contract, vectors, watched.seed)
    model = seal(compile_graph(graph), contract, vectors, margins.model, scores)
    error = replay_error(batch_session(model), parse(model).contract, recording)
    check_error(error)
    return model, error, recording


def make_provenance(run: Run, score: Evaluation) -> Provenance:
    """Where the policy of a run comes from: all of it from the run itself."""
    config = run.config
    origin = TASKS.origin(config.name)
    return Provenance(
        task=config.name,
        task_config=plain(config.task),
        package=origin.package,
        package_version=origin.version,
        robot_model=config.robot or TASKS[config.name].robot,
        engine=run.engine,
        code_revision=run.facts["code_revision"],
        seed=config.seed,
        data=None,
        evaluation=asdict(score),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        packages=_packages(run),
    )


def _packages(run: Run) -> dict[str, str]:
    """Who registered what the run was made with: "policy mlp" -> "isthmus 0.1.0"."""
    config = run.config
    used = (
        (TASKS, config.name),
        (ROBOTS, _registered_robot(config)),
        (POLICIES, config.policy_name),
        (ALGORITHMS, config.algorithm_name),
        (ENGINES, run.engine),
    )
    return dict(package_of(registry, name) for registry, name in used)


def _registered_robot(config: TrainConfig[Any, Any, Any]) -> str:
    """The run's robot by its registered name; for a robot file or a model, the one that lends it the rest."""
    own = TASKS[config.name].robot
    if config.robot is None or config.robot in ROBOTS:
        return config.robot or own
    path = Path(config.robot)
    return read_robot_file(path).base if path.suffix == ".toml" else own


@dataclass(frozen=True, kw_only=True)
class Options:
    """Export the policy of a run to one ONNX file, after evaluating it and replaying the graph against it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    out: Path | None = None
    """The file to write; by default RUN/policy.onnx."""
    episodes: int = 500
    """Episodes of the evaluation that the contract states."""
    task: str | None = None
    """Registered task whose robot a policy of chunks is for; by default the one it was tried on in training."""
    execute: int | None = None
    """Control periods from one inference of a policy of chunks to the next; by default half a chunk, or one where it
    was fine-tuned to correct every action."""
    strategy: Strategy | None = None
    """What is done of the chunks of such a policy; by default receding, or warm_start where it was fine-tuned to
    correct every action."""
    false_alarms: float | None = None
    """Share of successful episodes in which there may be a false alarm: the policy is then watched by a monitor, which
    tells when it is out of its depth. By default it is not watched."""
    monitor_episodes: int = MonitorConfig.episodes
    """Episodes in simulation by which the monitor is made."""

    def watched(self, config: type[ConfigT]) -> ConfigT | None:
        """How the monitor is made; None for none."""
        if self.false_alarms is None:
            return None
        return config(false_alarms=self.false_alarms, episodes=self.monitor_episodes)


def export_run(
    folder: Path, out: Path | None = None, episodes: int = 500, watched: StepMonitorConfig | None = None
) -> tuple[Path, Evaluation]:
    """Evaluate, export, replay, write. Raises ExportError, ValueError, OSError."""
    run = load_run(folder)
    print(f"evaluating {episodes} episodes of {run.task.episode_steps} steps", flush=True)
    score = evaluate(run.task, lambda env: NetworkRunner(run.policy, env), episodes, EVALUATION_SEED, engine=run.engine)
    model, error, recording = export_policy(run.task, run.policy, make_provenance(run, score), run.engine, watched)
    path = out or folder / POLICY_FILE
    replayed = f"{REPLAY_WORLDS * REPLAY_STEPS} recorded steps with {recording.resets} resets"
    write_policy(path, model, score, replayed, error)
    return path, score


def export(options: Options) -> None:
    """What the options ask for. Raises as `export_run`."""
    if holds_chunks(options.run):
        run = load_chunk_run(options.run)
        executor = executor_of(run.policy, options.execute, options.strategy)
        out = options.out or options.run / POLICY_FILE
        watched = options.watched(ChunkMonitorConfig)
        export_chunk_run(run, task_of_run(run, options.task), executor, out, options.episodes, watched)
        return
    chunked = ("task", "execute", "strategy")
    if given := [f"--{name.replace('_', '-')}" for name in chunked if getattr(options, name) is not None]:
        raise ValueError(f"{', '.join(given)}: only for a run of chunks, and {options.run} is none")
    export_run(options.run, options.out, options.episodes, options.watched(StepMonitorConfig))


def main() -> None:
    """Entry point of `isthmus-export`."""
    options = tyro.cli(Options, prog="isthmus-export")
    use_thread_budget()
    try:
        export(options)
    except (ExportError, ValueError, OSError) as error:
        sys.exit(f"isthmus-export: {error}")


if __name__ == "__main__":
    main()
