"""`isthmus-compare POLICY --engines mujoco sapien`: a policy on physics that it was not trained on, before hardware.

The exported graph runs with its safety chain's limits. Episodes of one seed begin alike on every engine, and have the
same bodies, gains, delays and ground; noise and pushes are the same until a first episode ends.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from isthmus_deploy.contracts.contract import SecondOpinion
from isthmus_deploy.policy.policy_file import PolicyFile, read, with_contract
from isthmus_policies.evaluation.compare.comparison import Driven, Parting, drive, parting
from isthmus_policies.evaluation.compare.guarded import GuardedRunner
from isthmus_policies.evaluation.compare.page import page
from isthmus_policies.evaluation.evaluate import Evaluation, MakeRunner
from isthmus_policies.evaluation.intervals import Interval, ratio
from isthmus_policies.files import code_revision, plain, write_atomically, write_json
from isthmus_policies.training.run import task_of_contract
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task
from isthmus_sim.threads import use_thread_budget


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare an exported policy on several engines; ends with 1 where it keeps too little of its success."""

    policy: Annotated[Path, tyro.conf.Positional]
    """The exported policy."""
    engines: tuple[str, ...] = ("mujoco", "sapien")
    """Names of engines: the first is what the others are held to."""
    episodes: int = 64
    """Episodes on each, side by side."""
    seed: int = 30_000
    """Seed of their starts, bodies and surroundings; neither training nor isthmus-play uses it."""
    keep: float = 0.95
    """Least share of the first engine's success that every other one must reach."""
    tolerance: float = 0.05
    """m, or rad for a robot with a fixed base: how far apart two engines' robots are when they count as parted."""
    write: bool = False
    """Put the result into the policy file's provenance, good or bad, where `isthmus-deploy doctor` reads it. The file
    gets another digest, and states the one that was driven."""
    folder: Path | None = None
    """Where comparison.json and comparison.html go; by default `compare` beside the policy."""


def compare(options: Options, console: Console) -> bool:
    """Drive, print, write; whether every engine keeps enough. Raises ValueError, OSError."""
    if len(options.engines) < 2 or len(set(options.engines)) < len(options.engines):
        raise ValueError(f"give at least two engines, each once; got: {', '.join(options.engines) or 'none'}")
    file = read(options.policy)
    contract = file.contract
    if contract.chunk is not None:
        raise ValueError(f"{options.policy} is a policy of chunks, which is not driven step by step; isthmus-play does")
    task = task_of_contract(contract, None)
    for name in options.engines:  # what does not start is told before others have run for minutes
        make_engine(task.scene, 1, name).close()

    def guarded(env: Env) -> GuardedRunner:
        return GuardedRunner(str(options.policy), contract, env)

    driven = _driven(task, guarded, options, console)
    first, *others = options.engines
    partings = {
        name: parting(driven[first], driven[name], options.tolerance, contract.control_period_s) for name in others
    }
    opinions = [_opinion(driven[first].score, driven[name].score, options, file.digest) for name in others]
    _report(options, driven, partings, opinions, contract.control_period_s, console)
    if options.write:
        _write(options.policy, file, opinions)
        console.print(f"written into the provenance of {options.policy}", highlight=False)
    return _kept(opinions)


def _kept(opinions: Sequence[SecondOpinion]) -> bool:
    return all(opinion.enough for opinion in opinions)


def _report(
    options: Options, driven: dict[str, Driven], partings: dict[str, Parting], opinions: Sequence[SecondOpinion],
    period_s: float, console: Console,
) -> None:  # fmt: skip
    """Print, and write comparison.json and comparison.html."""
    kept = _kept(opinions)
    shares = "; ".join(f"{opinion.engine} {_shown(opinion.kept, '.1%')}" for opinion in opinions)
    verdict = f"kept of the success on {options.engines[0]}: {shares}; at least {options.keep:.0%} must be"
    rows = _rows(driven, partings)
    console.print(_table(rows, f"{options.policy.name}, {options.episodes} episodes"))
    console.print(f"[{'green' if kept else 'red'}]{verdict}[/]")
    folder = options.folder or options.policy.parent / "compare"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "policy": options.policy.name, "engines": options.engines, "kept": kept, "code_revision": code_revision(),
        "scores": {name: plain(each.score) for name, each in driven.items()},
        "partings": {name: asdict(each) for name, each in partings.items()},
        "opinions": [asdict(opinion) for opinion in opinions],
    }  # fmt: skip
    write_json(folder / "comparison.json", facts)
    text = page(f"{options.policy.name} on {', '.join(driven)}", verdict, rows, driven, period_s)
    write_atomically(folder / "comparison.html", text.encode())
    console.print(f"report: {folder / 'comparison.html'}", highlight=False)


def _opinion(first: Evaluation, other: Evaluation, options: Options, digest: str) -> SecondOpinion:
    return SecondOpinion(
        engine=other.engine,
        held_to=first.engine,
        episodes=first.episodes,
        seed=first.seed,
        held_to_success=first.success,
        success=other.success,
        kept=ratio(other.success, first.success),
        required=options.keep,
        policy=digest,
        code_revision=code_revision(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def _write(path: Path, file: PolicyFile, opinions: list[SecondOpinion]) -> None:
    """Replace the policy file by one that has these opinions, and is the same otherwise."""
    contract = file.contract
    known = replace(contract, provenance=contract.provenance.with_opinions(opinions))
    write_atomically(path, with_contract(file.model, known))


def _driven(task: Task, runner: MakeRunner, options: Options, console: Console) -> dict[str, Driven]:
    driven = {}
    with Progress(console=console, transient=True) as progress:
        for name in options.engines:
            bar = progress.add_task(name, total=task.episode_steps)
            driven[name] = drive(
                task, runner, name, options.episodes, options.seed,
                lambda done, _, bar=bar: progress.update(bar, completed=done),
            )  # fmt: skip
    return driven


def _rows(driven: dict[str, Driven], partings: dict[str, Parting]) -> list[list[str]]:
    """The table, its heading first."""
    scores = {name: each.score for name, each in driven.items()}
    any_score = next(iter(scores.values()))
    rows = [["", *scores], ["success", *(_shown(score.success, ".1%") for score in scores.values())]]
    rows.append(["failed", *(_shown(score.failed, ".1%") for score in scores.values())])
    rows.append(["reward per episode", *(_shown(score.total_reward, ".1f") for score in scores.values())])
    for name in any_score.steady:
        rows.append([f"{name}, steady", *(_shown(score.steady[name], ".4f") for score in scores.values())])
    rows.append(["diverged", *(str(score.diverged) for score in scores.values())])
    rows.append(["parts from the first after", *(_after(partings.get(name)) for name in scores)])
    return rows


def _shown(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "–"
    low, value, high = (format(x, form) for x in interval)
    return f"{value} ({low} … {high})"


def _after(part: Parting | None) -> str:
    if part is None or part.quartiles is None:
        return "–" if part is None else "never"
    low, middle, high = part.quartiles
    return f"{middle:.2f} s ({low:.2f} … {high:.2f}) in {part.share:.0%}"


def _table(rows: list[list[str]], title: str) -> Table:
    result = Table(title=title, title_justify="left")
    for number, name in enumerate(rows[0]):
        result.add_column(name, justify="right" if number else "left")
    for row in rows[1:]:
        result.add_row(*row)
    return result


def main() -> None:
    """Entry point of `isthmus-compare`."""
    options = tyro.cli(Options, prog="isthmus-compare")
    use_thread_budget()
    try:
        good = compare(options, Console())
    except (ValueError, OSError) as error:
        sys.exit(f"isthmus-compare: {error}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
