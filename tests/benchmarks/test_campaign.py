"""How the fault campaign judges what was commanded, by sequences worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from untrained import contract_for

from isthmus_sim.robots.quadrotor.description import ROBOT

pytest.importorskip("rclpy")

LIMITS = replace(
    contract_for(ROBOT, "quadrotor").commands[0], shape=(1,), order=("a",), minimum=(0.0,), maximum=(9.0,),
    max_rate=(1.0,), safe=(0.0,), standby=(0.0,),
)  # fmt: skip
SLOW = replace(LIMITS, transition_rate=(1.0,))
MS = 1_000_000


def every_10_ms(*values):
    return [(10 * MS * number, np.array([value])) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("limits", "values", "options", "outcome"),
    [
        (LIMITS, (5, 5, 5, 0, 0), {}, (True, "safe after 15.0 ms", 0.015)),
        (LIMITS, (5, 5, 5, 0, 0), {"bound_s": 0.02}, (True, "safe after 15.0 ms", 0.015)),
        (LIMITS, (5, 5, 5, 5, 0), {"bound_s": 0.02}, (False, "late: safe after 25.0 ms", 0.025)),
        (LIMITS, (5, 5, 5, 5), {}, (False, "no safe command came", None)),
        (LIMITS, (5, 5), {}, (False, "no safe command came", None)),
        (LIMITS, (5, 5, 0, 5, 0), {}, (False, "it was told to move again", None)),
        (LIMITS, (5, 5, 0, 5, 0), {"stray": 1}, (True, "safe after 5.0 ms", 0.005)),
        (LIMITS, (5, 5, 0, 5, 5), {"stray": 1}, (False, "it was told to move again", None)),
        (LIMITS, (5, 10, 0, 0), {}, (False, "a command was out of range", None)),
        (LIMITS, (5, np.nan, 0, 0), {}, (False, "a command was not finite", None)),
        (SLOW, (5, 5, 5, 4, 3, 2, 1, 0), {"bound_s": 0.02}, (True, "on its way after 15.0 ms", 0.015)),
        (SLOW, (5, 5, 4, 3, 4, 2, 1, 0), {"bound_s": 0.02}, (False, "late: on its way after 35.0 ms", 0.035)),
        (SLOW, (5, 5, 4, 3, 2, 2, 2, 2), {}, (False, "no safe command came", None)),
    ],
)
def test_a_fault_15_ms_after_the_first_command(benchmarks, limits, values, options, outcome):
    from faults.judge import judge  # pyright: ignore[reportMissingImports]

    found = judge(every_10_ms(*values), limits, 15 * MS, **options)
    assert (found.safe, found.what) == outcome[:2]
    assert found.time_s == (None if outcome[2] is None else pytest.approx(outcome[2]))


def test_every_row_of_the_trials_that_can_be_tried_here_is_tried(benchmarks, tmp_path):
    """Two cannot: 16 is a filter's, which `test_safety` has; 18 sets the machine's clock."""
    from faults.robots import kinds_of  # pyright: ignore[reportMissingImports]

    kinds = [kind for robot in ("quadrotor", "quadruped") for kind in kinds_of(robot, tmp_path)]
    assert {kind.row for kind in kinds} - {None} == set(range(1, 22)) - {16, 18}
    assert len(kinds) == len({(kind.robot, kind.name) for kind in kinds}) >= 24
