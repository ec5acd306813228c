"""From flights to what is identified of a robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isthmus_deploy.flight.recorded import Flight
from isthmus_policies.evaluation.flown_windows import FlownWindows
from isthmus_policies.evaluation.identify.fit import RobotFit, fit_robot, intervals, remarks
from isthmus_policies.evaluation.identify.replayed import LATENCY, MOST_LATE, Replayed, Unknown, unknowns_of
from isthmus_sim.identify.identified import Range
from isthmus_sim.identify.identified_robot import Error, IdentifiedRobot
from isthmus_sim.task import Task
from isthmus_sim.terms.randomization import Joint


def identify(
    flights: Mapping[str, Flight], task: Task, *, parameters: Sequence[str], horizon_s: float, engine: str
) -> IdentifiedRobot:
    """Fit parameters of a task's scene to flights.

    Args:
        flights: By name, all of one robot.
        task: Whose simulation is fitted.
        parameters: Names of what is unknown.
        horizon_s: How long each window is, s.
        engine: Name of the engine.

    Raises:
        ReplayError: the flights cannot be simulated, or are too few.
        ValueError: the scene has no such parameter.
        UnsupportedError: the engine cannot simulate the task.
    """
    known = {parameter.name: parameter for parameter in task.scene.parameters}
    if missing := [name for name in parameters if name not in known]:
        raise ValueError(f"{task.robot.name} has no parameter {missing[0]!r}; it has: {', '.join(known) or 'none'}")
    windows = FlownWindows.of([*flights.values()], task, horizon_s, margin=MOST_LATE + 1)
    unknowns = unknowns_of([known[name] for name in parameters], task.robot.control_period_s)
    replayed = Replayed(windows, task, engine, unknowns)
    fit = fit_robot(replayed)
    ranges: dict[str, list[Range]] = {}
    for unknown, value, (low, high) in zip(unknowns, fit.values, intervals(replayed, fit), strict=True):
        found = Range(unit=unknown.unit, value=float(value), low=low, high=high)
        ranges.setdefault(unknown.parameter, []).append(found)
    latency = ranges.pop(LATENCY)[0]
    ends = [np.sqrt((each[:, -1] ** 2).mean(axis=0)).reshape(-1, 3) for each in (fit.nominal, fit.residuals)]
    return IdentifiedRobot(
        robot=task.robot.name,
        flights=tuple(flights),
        windows=len(windows),
        horizon_s=windows.length * task.robot.control_period_s,
        parameters={name: tuple(items) for name, items in ranges.items()},
        joint=_joint(unknowns[:-1], fit),
        latency_s=latency,
        errors={
            quantity.name: Error(
                unit="rad" if quantity.kind == "orientation" else quantity.unit,
                nominal=float(np.linalg.norm(before)), identified=float(np.linalg.norm(after)),
            )
            for quantity, before, after in zip(replayed.quantities, *ends, strict=True)
        },
        remarks=tuple(remarks(replayed, fit)),
    )  # fmt: skip


def _joint(unknowns: Sequence[Unknown], fit: RobotFit) -> Joint:
    """What is known of these unknowns, the first ones, whatever the others are."""
    n = len(unknowns)
    return Joint(
        parameters=tuple(unknown.parameter for unknown in unknowns),
        values=tuple(fit.values[:n].tolist()),
        covariance=tuple(tuple(row) for row in fit.covariance[:n, :n].tolist()),
        low=tuple(unknown.low for unknown in unknowns),
        high=tuple(unknown.high for unknown in unknowns),
    )
