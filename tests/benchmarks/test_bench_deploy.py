"""What `make bench-deploy` makes of what its processes have measured."""

from __future__ import annotations

import importlib
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus_deploy.timing.histogram import LatencyHistogram

pytest.importorskip("rclpy")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(benchmarks: Path) -> Any:
    """benchmarks/deploy.py."""
    return importlib.import_module("deploy")


def histogram(*microseconds: int) -> dict[str, Any]:
    times = LatencyHistogram()
    for each in microseconds:
        times.record(1000 * each)
    return times.summary()


def timed(bench: Any, *, busy: bool = False, latency_us: int = 1400, grown_kib: int = 900) -> Any:
    """A flight whose loop errs by 200 µs at most, beside a bare loop that errs by 100 and an echo that takes 1000."""
    from deployment.flight import NODE, Case, Flown  # pyright: ignore[reportMissingImports]

    loop = {"cycles": 1000, "skipped_periods": 2, "missed_readings": 5, "period_error": histogram(50, 200)}
    flown = Flown(
        robot={"sensor_to_command": histogram(500, latency_us), "period_error": histogram(150)},
        node={"loop": loop, "sections": {"policy": histogram(60, 90)}},
        bare=histogram(10, 100),
        grown_kib={NODE: grown_kib},
        succeeded=True,
    )
    case = Case(seconds=600.0, warm_s=60.0)
    return bench.Timed(name="100 Hz", case=case, flown=flown, echo=histogram(400, 1000), busy=busy)


def told(rows: list[Any]) -> dict[str, tuple[float, str | None]]:
    return {row.metric.removeprefix("100 Hz: "): (row.value, row.must) for row in rows}


def test_what_must_hold_is_judged_beside_what_the_machine_can_do(bench: Any):
    rows = told(bench.rows(timed(bench)))
    assert rows["flown to the end"] == (1.0, ">= 1")
    assert rows["period jitter, p99.9"] == (0.2, None)
    assert rows["period jitter, p99.9, over the bare loop"] == (pytest.approx(2.0), "<= 2")
    assert rows["sensor to command, p99, over the bare echo"] == (pytest.approx(0.4), "<= 0.5")
    assert rows["memory grown by from 60 s to the end: policy node"] == (pytest.approx(0.9216), "<= 1")
    assert rows["periods missed"] == (2, None)


def test_too_late_and_too_large_is_missed(bench: Any):
    from common import meets  # pyright: ignore[reportMissingImports]

    rows = bench.rows(timed(bench, latency_us=1501, grown_kib=977))
    missed = [row.metric.removeprefix("100 Hz: ") for row in rows if meets(row, row.must) is False]
    assert missed == [
        "sensor to command, p99, over the bare echo", "memory grown by from 60 s to the end: policy node",
    ]  # fmt: skip


def test_among_busy_programs_nothing_is_a_must(bench: Any):
    assert {row.must for row in bench.rows(timed(bench, busy=True))} == {None}


def test_the_figure_is_drawn_also_of_what_never_varied(bench: Any, tmp_path: Path):
    one = timed(bench)
    bench.draw([("100 Hz", one.flown, one.echo), ("500 Hz", one.flown, histogram(7))], tmp_path / "new" / "latency.png")
    assert (tmp_path / "new" / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_a_process_and_its_children_are_told_apart_by_what_they_run(bench: Any):
    from deployment.memory import tree  # pyright: ignore[reportMissingImports]

    child = subprocess.Popen([sys.executable, "-m", "code"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        assert child.stderr is not None
        child.stderr.readline()  # it runs
        assert tree(os.getpid())["code"] == child.pid
        child.terminate()


def test_memory_is_what_the_process_really_holds(bench: Any):
    from deployment.memory import resident_kib  # pyright: ignore[reportMissingImports]

    size = 50_000_000
    before = resident_kib(os.getpid())
    with mmap.mmap(-1, size) as held:  # the allocator may have memory that is resident already
        held.write(b"x" * size)
        assert resident_kib(os.getpid()) - before >= 0.9 * size / 1024


def test_the_bare_loop_counts_each_period(bench: Any):
    from deployment.bare_loop import sleep  # pyright: ignore[reportMissingImports]

    class After:
        """True when it has been asked so often."""

        left = 20

        def __bool__(self) -> bool:
            self.left -= 1
            return self.left < 0

    assert sleep(1_000_000, After()).count == 20


@pytest.mark.long
@pytest.mark.ros
def test_the_quick_run_runs(tmp_path: Path):
    from ros_processes import own_domain

    command = [sys.executable, str(ROOT / "benchmarks/deploy.py"), "--quick", "--figure", str(tmp_path / "latency.png")]
    with own_domain() as number:
        environment = os.environ | {"ROS_DOMAIN_ID": str(number)}
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "500 Hz: sensor to command, p99.9" in result.stdout
    assert (tmp_path / "latency.png").exists()
