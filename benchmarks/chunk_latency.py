"""`make bench-chunk-latency`: one decision of exported chunk policies on one core, beside torch and the bare products.

A decision is a step of the robot's runtime: readings and noise in, a whole chunk of commands out. Networks have the
sizes that training takes by default and random weights, of which time does not depend. Decisions of all graphs take
turns, and so do the trained network in torch and, as a yardstick, the matrix products of one decision in NumPy with
nothing between them.

Those cases that `make bench-chunks` and `make bench-distill` have judged are timed with the sizes that they were
judged with, and --figure draws their scores, as these left them in docs/results, beside their time here.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, parse, report

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the bare products; NumPy asks when it is imported

import torch
from chunk_figure import PANELS, Point, draw_points
from chunk_trials import ROOT, Decision, Vector, evaluations, in_turns, one_core, p50_p99
from rich.console import Console

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkSpec, SeenFrom
from isthmus_policies.chunks.columns import CAMERA, STATE_COLUMN
from isthmus_policies.chunks.runner import usual_executor
from isthmus_policies.chunks.training.config import default_config
from isthmus_policies.chunks.training.run import make_policy
from isthmus_policies.demonstrate.features import STATE, robot_features
from isthmus_sim.description import with_camera
from isthmus_sim.robots.so101.description import ROBOT as ARM
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.pick_place import PickPlace, PickPlaceConfig
from isthmus_sim.threads import use_thread_budget

SIZE = (96, 96)
PUBLISHED = {"channels": (256, 512, 1024)}
"""Chi et al. 2023."""
DISC_BY_BLOCK = SeenFrom(place=(0, 1), pose=(2, 3, 4))
READ_TOGETHER = 256
"""Width of the perceptron that reads everything before the denoiser does, in the recipe."""
FEWER = 10
"""So many decisions of a judged graph for one of what stands beside it."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure one decision."""

    decisions: int = 2_000
    """Each graph that has a bound or a score is timed so often, the others a tenth of it."""
    only: tuple[str, ...] = ()
    """Names of those that are measured; by default all."""
    figure: Path | None = None
    """Where a picture goes: score beside time of a decision; by default nowhere."""


QUICK = Options(decisions=50, only=("state student", "flow, warm start", "image student"))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A policy whose decision is timed.

    Args:
        name: What the table calls it.
        method, settings: Registered name, and what differs from the method's defaults.
        denoiser, sizes: The same of the network.
        near: Whether it begins near to the chunk before.
        images: Whether it sees two cameras, and moves the arm; otherwise it sees the state of Push-T.
        judged: File in docs/results where the scores of the case of its name stand, without .json; its sizes are those
            of the recipe in docs/results/diffusion.md then, with one row observed.
        must, aim: Bounds of the 99th percentile, ms.
    """

    name: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    denoiser: str = "mlp"
    sizes: dict[str, Any] = field(default_factory=dict)
    near: bool = False
    images: bool = False
    judged: str | None = None
    must: str | None = None
    aim: str | None = None


CANDIDATES = (
    Candidate(name="state student", method="few_step", must="<= 2", aim="<= 1"),
    Candidate(name="state student, one evaluation", method="few_step", settings={"steps": 1}),
    # Near to a chunk there are a quarter of the evaluations.
    Candidate(
        name="flow, warm start", method="flow", settings={"steps": 8}, near=True, must="<= 10", aim="<= 5"
    ),
    Candidate(
        name="flow, longer warm start", method="flow", settings={"steps": 12}, near=True, must="<= 10", aim="<= 5"
    ),
    Candidate(name="image student", method="few_step", images=True, must="<= 20", aim="<= 10"),
    Candidate(name="flow", method="flow"),
    Candidate(name="diffusion, ddim", method="diffusion"),
    Candidate(name="U-Net student", method="few_step", denoiser="unet"),
    Candidate(name="U-Net flow, warm start", method="flow", denoiser="unet", near=True),
    Candidate(name="U-Net flow", method="flow", denoiser="unet"),
    Candidate(
        name="published U-Net, once", method="flow", settings={"steps": 1}, denoiser="unet", sizes=PUBLISHED
    ),
    Candidate(name="teacher", method="flow", settings={"steps": 20}, judged="distill"),
    *(
        Candidate(name=f"flow, {steps}, half executed", method="flow", settings={"steps": steps}, judged="chunks")
        for steps in (1, 2, 4, 8)
    ),
    *(
        Candidate(
            name=f"flow, {few}, warm start a tick", method="flow", settings={"steps": 4 * few}, near=True,
            judged="chunks",
        )
        for few in (1, 2, 3)
    ),
    *(
        Candidate(name=f"levels, {steps}", method="few_step", settings={"steps": steps}, judged="distill")
        for steps in (1, 2)
    ),
)  # fmt: skip


def arm_with_cameras() -> Task:
    """The desktop arm, which sees its desk from the wrist and from above."""
    robot = with_camera(ARM, "so101", "scene", SIZE)
    return PickPlace(with_camera(robot, "so101", "wrist", SIZE), PickPlaceConfig())


def untrained(candidate: Candidate, task: Task) -> ChunkPolicy:
    """A policy with random weights for the robot of a task, whose actions lie in the range of its commands."""
    features = robot_features(task.robot)
    columns, actions = {STATE_COLUMN: features.columns[STATE].shape[0]}, features.action.shape[0]
    # As Push-T is trained: its fifth number is an angle.
    angles = {} if candidate.images else {STATE_COLUMN: (4,)}
    recipe = {"observed": 1, "frames": {STATE_COLUMN: (DISC_BY_BLOCK,)}} if candidate.judged else {}
    spec = ChunkSpec(
        fps=round(1 / task.robot.control_period_s), columns=columns, action_size=actions, angles=angles, **recipe,
        cameras={f"{CAMERA}{name}": SIZE for name in features.cameras} if candidate.images else {},
    )  # fmt: skip
    low, high = (
        torch.tensor([end for command in task.robot.commands for end in getattr(command, side)])
        for side in ("minimum", "maximum")
    )
    middles = {STATE_COLUMN: torch.zeros(columns[STATE_COLUMN]), spec.action: (low + high) / 2}
    spans = {STATE_COLUMN: torch.full((columns[STATE_COLUMN],), 512.0), spec.action: (high - low) / 2}
    config = default_config((Path("nothing"),), candidate.method, candidate.denoiser)
    config = replace(
        config,
        method=replace(config.method, **candidate.settings),
        denoiser=replace(config.denoiser, **candidate.sizes),
        encoder=replace(config.encoder, width=READ_TOGETHER if candidate.judged else config.encoder.width),
    )
    torch.manual_seed(0)
    return make_policy(config, spec, Normalizer(dict.fromkeys(middles, "min_max"), middles, spans)).eval()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Times of one candidate's decisions, ms."""

    candidate: Candidate
    parameters: int
    evaluations: int
    products: float
    """Multiplications of a decision, in millions."""
    graph: Vector
    network: Vector
    bare: Vector


def measure(candidates: tuple[Candidate, ...], decisions: int, console: Console) -> list[Measured]:
    """Compile all, then time all in turns."""
    loaded = {}
    for candidate in candidates:
        task = arm_with_cameras() if candidate.images else make_task("push_t")
        policy = untrained(candidate, task)
        strategy = "warm_start" if candidate.near else "receding"
        decision = Decision(task, policy, usual_executor(policy.spec.horizon, strategy=strategy))
        loaded[candidate.name] = candidate, policy, decision, decision.bare()
        console.print(f"{candidate.name}: compiled")
    calls = {}
    for name, (candidate, _, decision, bare) in loaded.items():
        few = max(2, decisions // FEWER)
        calls[name, "graph"] = decision.graph, decisions if candidate.must or candidate.judged else few
        calls[name, "network"], calls[name, "bare"] = (decision.network, few), (bare, few)
    with one_core() as scheduled:
        console.print(f"measuring on one core, {scheduled}")
        times = in_turns(calls)
    return [
        Measured(
            candidate=candidate, evaluations=evaluations(policy, candidate.near), products=bare.millions,
            parameters=sum(parameter.numel() for parameter in policy.parameters()),
            **{kind: times[name, kind] for kind in ("graph", "network", "bare")},
        )
        for name, (candidate, policy, _, bare) in loaded.items()
    ]  # fmt: skip


def rows_of(measured: list[Measured]) -> list[Row]:
    """Median and 99th percentile of each, and what stands beside it."""
    return [row for each in measured for row in rows_of_one(each)]


def rows_of_one(measured: Measured) -> list[Row]:
    """The rows of one candidate."""
    candidate = measured.candidate
    (middle, late), (network, _), (bare, _) = map(p50_p99, (measured.graph, measured.network, measured.bare))
    size = f"{measured.parameters / 1e6:.1f} M parameters, {measured.products:.1f} M multiplications"
    beside = f"torch {network:.2f} ms, bare products {bare:.2f} ms; {size}"
    name, n = f"{candidate.name}, evaluations: {measured.evaluations}", len(measured.graph)
    return [
        Row(metric=f"{name}: p50 of a decision", value=middle, unit="ms", seeds=n, peer=beside),
        Row(metric=f"{name}: p99 of a decision", value=late, unit="ms", seeds=n, must=candidate.must,
            aim=candidate.aim),
    ]  # fmt: skip


def judged_points(measured: list[Measured]) -> list[Point]:
    """Those cases whose scores stand in docs/results, with their time here. Raises ValueError where one does not."""
    return [_point(each, each.candidate.judged) for each in measured if each.candidate.judged]


def _point(measured: Measured, judged: str) -> Point:
    candidate, path = measured.candidate, ROOT / f"docs/results/{judged}.json"
    found = {row["metric"]: row for row in json.loads(path.read_text())}
    scores = {}
    for panel in PANELS:
        row = found.get(f"{candidate.name}: {panel}")
        if row is None:
            raise ValueError(f"{path} has no {panel} of {candidate.name!r}; make bench-{judged} measures it")
        percent = 1.0 if row["unit"] == "%" else 100.0
        scores[panel] = tuple(percent * value for value in (row["spread"][0], row["value"], row["spread"][1]))
    return Point(
        family=candidate.method, sampler="", evaluations=str(measured.evaluations),
        strategy="warm start a tick" if candidate.near else "half executed", late=p50_p99(measured.graph)[1],
        scores=scores,
    )  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    known = {each.name: each for each in CANDIDATES}
    if unknown := sorted(set(options.only) - set(known)):
        sys.exit(f"bench-chunk-latency: there is no {', '.join(unknown)}; there are: {'; '.join(known)}")
    chosen = tuple(each for each in CANDIDATES if not options.only or each.name in options.only)
    measured = measure(chosen, options.decisions, Console())
    if options.figure:
        draw_points(judged_points(measured), options.figure)
    return report("chunk_latency", rows_of(measured), options)


if __name__ == "__main__":
    sys.exit(main())
