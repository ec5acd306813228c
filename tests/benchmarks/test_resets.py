"""The slopes by hand, and what is said of learners that have never learned."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus_sim.env import Env, Step


def on_slope(slope: Any, distance: float, steepness: float) -> Env:
    """A cart that is so far from its flag, on a slope that pulls it down by so many m/s²."""
    task = slope.Slope()
    (least, most), (_, steepest) = task.graded.values()
    resets: Any = importlib.import_module("resets")
    level = resets.Grid(1, 1)
    level.levels = torch.tensor([[(distance - least) / (most - least), steepness / steepest]])
    env = Env(task, slope.Slopes(1), seed=0, autoreset=False, levels=level)
    env.reset()
    return env


def pushed(env: Env, share: float) -> Step:
    """Towards the flag, or away from it."""
    offset = env.signals["offset"]
    return env.step(share * offset / offset.norm(dim=-1, keepdim=True))


@pytest.mark.parametrize("steepness", [0.0, 1.5])
def test_a_cart_comes_to_its_flag_when_its_motor_is_stronger_than_the_slope(benchmarks: Path, steepness: float):
    """From rest, half a metre to go until the flag is near: v = a·t, and 1 m/s is just slow enough."""
    slope: Any = importlib.import_module("curricula.slope")
    env = on_slope(slope, 0.8, steepness)
    travelled, speed, steps = 0.0, 0.0, 0
    while travelled < 0.4 - 1e-6:
        speed += slope.PERIOD_S * (slope.STRENGTH - steepness)
        travelled, steps = travelled + slope.PERIOD_S * speed, steps + 1
    ends = [bool(pushed(env, 1.0).succeeded[0]) for _ in range(steps)]
    assert ends == [False] * (steps - 1) + [speed <= 1.0]


def test_no_push_comes_up_a_slope_that_is_steeper(benchmarks: Path):
    slope: Any = importlib.import_module("curricula.slope")
    env = on_slope(slope, 0.8, slope.STRENGTH * 1.1)
    last = [pushed(env, 1.0) for _ in range(80)][-1]
    assert float(env.signals["offset"].norm()) > 0.8
    assert bool(last.truncated[0])


def test_who_has_not_learned_counts_as_if_it_had_at_the_end(benchmarks: Path):
    bench: Any = importlib.import_module("resets")
    options = bench.Options(sac_steps=1000)
    found = {("sac", bench.OWN): [math.inf, 800.0], ("sac", "a teacher's snapshots"): [500.0, math.inf]}
    rows = {row.metric: row for row in bench.start_rows(found, {"success": 0.9, "steps": 7}, options)}
    times = rows["sac, a teacher's snapshots: times earlier"]
    assert times.spread == (0.8, 2.0)
    assert rows[f"sac, {bench.OWN}: steps until learned"].peer == "1 of 2 seeds within 1000"


def test_what_was_measured_with_other_options_is_measured_again(benchmarks: Path, tmp_path: Path):
    bench: Any = importlib.import_module("resets")
    given = iter((1, 2, 3))
    found = [
        bench.Kept(folder=tmp_path, options=options).once("what", ("share", "seeds"), lambda: next(given))
        for options in (bench.Options(), bench.Options(save=True, ppo_steps=7), bench.Options(share=0.1))
    ]
    assert found == [1, 1, 2]


def test_rows_name_another_revision_that_measured_them(benchmarks: Path, tmp_path: Path):
    bench: Any = importlib.import_module("resets")
    kept = bench.Kept(folder=tmp_path, options=bench.Options())
    row = bench.Row(metric="m", value=1.0, unit="", peer="beside")
    kept.once("what", (), lambda: 1)
    assert kept.told([row]) == [row]
    kept.revisions.add("abc")
    assert kept.told([row])[0].peer == "beside; measured at abc"


def test_what_happened_early_is_known_of_more_steps_and_what_did_not_of_fewer(benchmarks: Path, tmp_path: Path):
    bench: Any = importlib.import_module("resets")

    def asked(name: str, limit: int, found: int | None) -> int | None:
        kept = bench.Kept(folder=tmp_path, options=bench.Options(sac_steps=limit))
        return kept.once(name, (), lambda: found, "sac_steps")

    assert [asked("early", limit, found) for limit, found in ((9, 5), (20, 1), (4, None))] == [5, 5, None]
    assert [asked("never", limit, found) for limit, found in ((9, None), (5, 1), (10, 7))] == [None, None, 7]
