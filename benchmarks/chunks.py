"""`make bench-chunks`: methods, samplers and strategies for Push-T from the state, by score and by time of a decision.

Each run is one training. All of its last policies are judged, for the best of many is best by chance too, on episodes
that begin as gym-pusht's do with seeds 100000 to 100049: in our simulator, and with --gym in gym-pusht itself. Samplers
are settings of a trained policy, so that nothing is trained again. Runs of the same method and sizes, with other seeds,
are judged together.

A warm start makes a plan at every tick, near to what is left of the one before. It is judged against what its run does
as configured, with half of each chunk executed, on the same episodes: with the most evaluations that the bound allows,
which is decided here and not by what came out best.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, parse, report

import numpy as np
from chunk_figure import draw_points, points
from chunk_trials import (
    PYTHON,
    SEED,
    Decision,
    GymPushT,
    Vector,
    coverage_here,
    evaluations,
    greatest_coverage,
    gym_starts,
    in_turns,
    lost_rows,
    made_up,
    one_core,
    p50_p99,
    policies_of,
    require_state,
    score_rows,
    with_settings,
)
from rich.console import Console

from isthmus_deploy.chunk_executor import Strategy
from isthmus_policies.chunks.chunk_policy import CHUNK_POLICIES
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.runner import Execution, usual_executor
from isthmus_policies.chunks.training.config import AnyConfig
from isthmus_policies.chunks.training.run import ChunkRun, load_chunk_run
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import STANDARD_SEEDS
from isthmus_sim.threads import use_thread_budget

Settings = dict[str, Any]

SAMPLERS: dict[str, tuple[Settings, ...]] = {
    "flow": tuple({"steps": steps} for steps in (1, 2, 4, 8)),
    "diffusion": (
        *({"sampler": "ddim", "steps": steps} for steps in (2, 5, 10)),
        *({"sampler": "dpm_solver", "steps": steps} for steps in (5, 10)),
        {"sampler": "ddpm", "steps": 100},
    ),
    "edm": tuple({"steps": steps} for steps in (2, 3, 5)),
    "few_step": ({"steps": 1}, {"steps": 2}),
}
"""Method -> settings with which its chunks are drawn, beside those that it is configured with."""
FEW = (1, 2, 3)
"""Evaluations of a warm start."""
JUDGED = 3
"""That many of them must keep up with a run as it is configured."""
WARM: dict[str, tuple[Settings, ...]] = {
    # Near to a chunk, a quarter of the usual evaluations is left.
    "flow": tuple({"steps": 4 * few} for few in FEW),
    "diffusion": tuple({"sampler": "ddim", "steps": 4 * few} for few in FEW),
    "edm": tuple({"steps": 4 * few} for few in FEW),
    "few_step": ({"steps": 1},),
}
RECEDING, ENSEMBLE, WARM_START = "half executed", "ensemble a tick", "warm start a tick"
STRATEGIES: dict[str, Strategy] = {RECEDING: "receding", ENSEMBLE: "ensemble", WARM_START: "warm_start"}


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Judge runs of chunk policies on Push-T, with every sampler."""

    runs: tuple[Path, ...] = ()
    """Folders of finished runs, students too; they must observe nothing but the state. --quick makes some up."""
    policies: int = 5
    """The last so many policies of each run."""
    episodes: int = 50
    """The first so many of the starts."""
    steps: int = 300
    """Control steps of an episode."""
    decisions: int = 2_000
    """Decisions of each graph whose time is measured; 0: none is compiled."""
    gym: bool = False
    """Whether gym-pusht judges too: `make bench-gym-pusht` installs it."""
    python: Path = PYTHON
    """The Python that has gym-pusht."""
    figure: Path | None = None
    """Where a picture goes: score beside time of a decision; by default nowhere."""
    drawn: Path | None = None
    """Only draw the figure, of rows that were measured before: docs/results/chunks.json."""


QUICK = Options(policies=1, episodes=2, steps=16, decisions=20)
QUICK_METHODS = ("cloning", "flow")


@dataclass(frozen=True, kw_only=True)
class Case:
    """How chunks are drawn and executed: settings of the method, and the name of a strategy."""

    settings: Settings = field(default_factory=dict)
    strategy: str = RECEDING

    def execution(self, horizon: int) -> Execution:
        """Half of each chunk is executed, or there is a new one at every tick."""
        execute = None if self.strategy == RECEDING else 1
        return Execution(executor=usual_executor(horizon, execute, STRATEGIES[self.strategy]), seed=SEED)


def cases(run: ChunkRun, quick: bool = False) -> list[Case]:
    """All of a run's method, as it is configured first; quick: one of each strategy."""
    configured, name = asdict(run.config.method), run.config.method_name
    others = [each for each in SAMPLERS.get(name, ()) if configured | each != configured]
    warm = WARM.get(name, ())
    return [
        Case(),
        *(Case(settings=settings) for settings in others if not quick),
        Case(strategy=ENSEMBLE),
        *(Case(settings=settings, strategy=WARM_START) for settings in (warm[:1] if quick else warm)),
    ]


def family(config: AnyConfig) -> str:
    """What runs are told apart by: the method, how a student learned, the network where it is not the usual one."""
    words = [config.method_name, *([config.method.way] if hasattr(config.method, "way") else [])]
    if CHUNK_POLICIES[config.method_name].denoises:
        words += [config.denoiser_name] if config.denoiser_name != "mlp" else []
        usual = DENOISERS[config.denoiser_name].config
        for each in fields(usual):
            if (value := getattr(config.denoiser, each.name)) != getattr(usual, each.name):
                words.append(f"{each.name} {value}")
    return " ".join(words)


@dataclass(kw_only=True)
class Found:
    """What one case of one family came to.

    here, gym: Greatest coverage of each policy's episodes, (episodes,) each.
    full: That it is as configured, to which others are compared.
    judged: That it is a warm start which must keep up.
    times: Of decisions, ms.
    """

    here: list[Vector] = field(default_factory=list)
    gym: list[Vector] = field(default_factory=list)
    full: bool = False
    judged: bool = False
    times: Vector | None = None


Table = dict[str, dict[str, Found]]
"""Family -> name of a case, such as "flow, 8, half executed" -> what was found."""


def case_name(named: str, run: ChunkRun, case: Case) -> str:
    """Family, sampler and evaluations, strategy."""
    policy = with_settings(run, case.settings)
    count = evaluations(policy, near=case.strategy == WARM_START)
    sampler = getattr(policy.config, "sampler", "") if run.config.method_name == "diffusion" else ""
    return f"{named}, {f'{sampler} ' if sampler else ''}{count}, {case.strategy}"


def judge(table: Table, decisions: dict[str, Decision], file: Path, options: Options, worlds: GymPushT | None) -> None:
    """Add what one policy does in every case. Raises ValueError for a policy that is not for Push-T's state."""
    run = load_chunk_run(file)
    require_state(run.policy, file)
    named = family(run.config)
    task = gym_starts(options.episodes, options.steps)
    for case in cases(run, options.quick):
        policy, name = with_settings(run, case.settings), case_name(named, run, case)
        execution = case.execution(policy.spec.horizon)
        found = table.setdefault(named, {}).setdefault(name, Found())
        found.here.append(coverage_here(policy, task, options.episodes, execution))
        if worlds:
            seeds = STANDARD_SEEDS[: options.episodes]
            found.gym.append(greatest_coverage(policy, worlds, seeds, options.steps, execution))
        found.full = case == Case()
        found.judged = case.strategy == WARM_START and case.settings["steps"] == 4 * JUDGED
        if options.decisions and case.strategy != ENSEMBLE and name not in decisions:
            decisions[name] = Decision(make_task("push_t"), policy, execution.executor)


def time_decisions(table: Table, decisions: dict[str, Decision], count: int) -> str:
    """Measure all decisions in turns; how they were scheduled."""
    with one_core() as scheduled:
        times = in_turns({name: (decision.graph, count) for name, decision in decisions.items()})
    for found in table.values():
        for name, each in found.items():
            each.times = times[name.replace(ENSEMBLE, RECEDING)]  # the same graph, asked more often
    return scheduled


def rows_of(table: Table) -> list[Row]:
    """Scores and times of every case, and what warm starts lose."""
    return [row for found in table.values() for row in rows_of_family(found)]


def rows_of_family(found: dict[str, Found]) -> list[Row]:
    """The rows of one family."""
    rows = []
    for name, each in found.items():
        rows += score_rows(name, np.stack(each.here))
        rows += score_rows(name, np.stack(each.gym), "in gym-pusht") if each.gym else []
        if each.times is not None:
            middle, late = p50_p99(each.times)
            rows.append(
                Row(metric=f"{name}: p99 of a decision", value=late, unit="ms", seeds=len(each.times),
                    peer=f"p50 {middle:.2f} ms")
            )  # fmt: skip
    full = next(each for each in found.values() if each.full)
    for name, each in found.items():
        if name.endswith(WARM_START):
            must = "<= 3" if each.judged else None
            rows += lost_rows(name, np.stack(full.here), np.stack(each.here), must)
            if each.gym:
                rows += lost_rows(f"{name} in gym-pusht", np.stack(full.gym), np.stack(each.gym), must)
    return rows


def draw(rows: Sequence[Row], path: Path) -> None:
    """Score beside time of a decision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_points(points(rows), path)


def rows_from(file: Path) -> list[Row]:
    """Rows that were written before."""
    known = {each.name for each in fields(Row)}
    figures = json.loads(file.read_text(encoding="utf-8"))
    return [Row(**{name: value for name, value in figure.items() if name in known}) for figure in figures]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if options.drawn:
        draw(rows_from(options.drawn), options.figure or options.drawn.with_suffix(".png"))
        return 0
    if not options.runs and not options.quick:
        sys.exit("bench-chunks: --runs RUN … says which; isthmus-train-chunks and isthmus-distill make them")
    if options.gym and not options.python.exists():
        sys.exit(f"bench-chunks: there is no {options.python}: scripts/gym_pusht.sh makes it, or leave --gym out")
    use_thread_budget()
    rows = measured(options, Console())
    if options.figure:
        draw(rows, options.figure)
    return report("chunks", rows, options)


def measured(options: Options, console: Console) -> list[Row]:
    """Judge all policies of all runs, then time all decisions."""
    table, decisions = Table(), dict[str, Decision]()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        worlds = stack.enter_context(GymPushT(options.python)) if options.gym else None
        runs = options.runs or tuple(made_up(Path(temporary) / method, method) for method in QUICK_METHODS)
        for file in (file for run in runs for file in policies_of(run)[-options.policies :]):
            judge(table, decisions, file, options, worlds)
            console.print(f"{file}: judged")
    if options.decisions:
        console.print(f"timing {len(decisions)} graphs: {time_decisions(table, decisions, options.decisions)}")
    return rows_of(table)


if __name__ == "__main__":
    sys.exit(main())
