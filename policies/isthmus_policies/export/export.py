"""`isthmus-export RUN`: one ONNX graph from raw signals to motor commands, with its contract, replayed before it is
written."""

from __future__ import annotations

import datetime
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from isthmus_deploy.contract import Provenance
from isthmus_deploy.policy_file import TOLERANCE, parse, seal
from isthmus_policies.algorithms.algorithm import ALGORITHMS
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.runners import NetworkRunner, batch_session
from isthmus_policies.export.contract import make_contract
from isthmus_policies.export.graph import PolicyGraph, compile_graph
from isthmus_policies.export.replay import (
    REPLAY_STEPS,
    REPLAY_WORLDS,
    Recording,
    make_test_vectors,
    record,
    replay_error,
)
from isthmus_policies.files import code_revision, plain, write_atomically
from isthmus_policies.networks.policy import POLICIES, Policy
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.run import Run, load_run
from isthmus_sim.engines import ENGINES
from isthmus_sim.models.robot_file import read_robot_file
from isthmus_sim.robots import ROBOTS
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS
from isthmus_sim.threads import use_thread_budget

POLICY_FILE = "policy.onnx"
EVALUATION_SEED = 10_000


class ExportError(RuntimeError):
    """The graph does not do what the trained policy does. Nothing was written."""


def export_policy(
    task: Task, policy: Policy, provenance: Provenance, engine: str | None = None
) -> tuple[bytes, float, Recording]:
    """The policy file's bytes, the replay's worst error, and the recording it was replayed on.

    Raises:
        ExportError: the graph and the trained policy differ by more than the tolerance, or the replay saw no reset.
    """
    graph = PolicyGraph(task, policy)
    contract = make_contract(task, policy, provenance)
    recording = record(task, policy, EVALUATION_SEED + 1, engine)
    if recording.resets == 0:
        raise ExportError("the recorded roll-out had no episode end: the memory's reset would go unchecked")
    model = seal(compile_graph(graph), contract, make_test_vectors(graph, contract, recording))
    error = replay_error(batch_session(model), parse(model).contract, recording)
    if not error <= TOLERANCE:
        raise ExportError(
            f"graph and policy differ by {error:.2g} of the command's range, more than {TOLERANCE:g}: nothing written"
        )
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
    origins = [(f"{registry.kind} {name}", registry.origin(name)) for registry, name in used]
    return {what: f"{origin.package} {origin.version}" for what, origin in origins}


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


def export_run(folder: Path, out: Path | None = None, episodes: int = 500) -> tuple[Path, Evaluation]:
    """Evaluate, export, replay, write. Raises ExportError, ValueError, OSError."""
    run = load_run(folder)
    print(f"evaluating {episodes} episodes of {run.task.episode_steps} steps", flush=True)
    score = evaluate(run.task, lambda env: NetworkRunner(run.policy, env), episodes, EVALUATION_SEED, engine=run.engine)
    model, error, recording = export_policy(run.task, run.policy, make_provenance(run, score), run.engine)
    path = out or folder / POLICY_FILE
    write_atomically(path, model)
    print(
        f"{path}  {len(model) / 1024:.0f} KiB\n"
        f"  replayed {REPLAY_WORLDS * REPLAY_STEPS} recorded steps with {recording.resets} resets: "
        f"worst error {error:.1e} of the range\n"
        f"  success ({score.success_is}) {score.success[1]:.1%} of {score.episodes} episodes"
        f"   revision {code_revision()}"
    )
    return path, score


def main() -> None:
    """Entry point of `isthmus-export`."""
    options = tyro.cli(Options, prog="isthmus-export")
    use_thread_budget()
    try:
        export_run(options.run, options.out, options.episodes)
    except (ExportError, ValueError, OSError) as error:
        sys.exit(f"isthmus-export: {error}")


if __name__ == "__main__":
    main()
