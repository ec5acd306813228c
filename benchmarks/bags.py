"""`make bench-bags`: actions of imported ROS 2 bags beside the observations that they were decided on.

Each bag holds a sensor and a policy that counts: a reading says its number, and a command the number of the reading
that it was decided on. So every row of the import says by how many readings the two are apart. A policy waits for
every reading of a sensor, or for one in some of a faster one, and then takes any part of a period; beside a faster
sensor it also runs by a clock of its own, in any phase, and what it takes, at most 0.4 of a period, nobody can see.
Beside each stands what the last command before the tick would be.

How far they are apart is judged in the sensor's own time, a reading times its usual period: where two readings lie
half a period apart, their jitter is no error of the import. With it stands in a row of its own.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, parse, report

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions

STORE = get_typestore(Stores.ROS2_JAZZY)
SECOND = 10**9
START = 1_700_000_000 * SECOND
STATE, COMMAND = "/joint_states", "/forward_position_controller/commands"
RATE = 50  # Hz, of the policy and of the rows
UNSEEN = 0.4
"""The most that a free-running policy takes, as a share of its period."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Import bags whose truth is known."""

    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of the jitter."""
    waits: tuple[int, ...] = (50, 100)
    """Readings a second of sensors that the policy waits for."""
    free: tuple[int, ...] = (75, 100, 150, 200)
    """Readings a second of sensors beside which it runs by a clock of its own."""
    phases: int = 8
    """Phases of the sensor, all through its period."""
    latencies: tuple[float, ...] = (0.05, 0.3, 0.6, 0.85)
    """Times from waking to the command, as shares of a period; a free-running policy takes `UNSEEN` at most."""
    jitter: float = 0.1
    """The most that a reading, and a command of a policy with a clock of its own, are off their time, as a share of
    their periods."""
    work: float = 0.02
    """The most that the command of a policy that waits is off its time after the reading, as a share of a period."""
    seconds: float = 4.0
    """Length of a bag."""


QUICK = Options(seeds=(1,), waits=(50,), free=(100,), phases=2, latencies=(0.35,), seconds=1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """Times in ns: of readings, of commands, and which reading each command was decided on."""

    readings: NDArray[np.int64]
    commands: NDArray[np.int64]
    decided_on: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sensor of so many readings a second, and how the policy takes them."""

    rate: int
    waits: bool
    phase: float
    latency: float
    seed: int


def simulated(options: Options, case: Case) -> Truth:
    """A policy that wakes with one of a sensor's readings, or by its own clock; takes the newest reading; and sends a
    command so much later."""
    random, period = np.random.default_rng(case.seed), SECOND / RATE
    count, every = round(case.rate * options.seconds), case.rate // RATE
    noise = period * random.uniform(size=(2, count))
    readings = START + (np.arange(count) + case.phase) * SECOND / case.rate
    readings += options.jitter * noise[0] * RATE / case.rate
    clock = START + np.arange(1, round(RATE * options.seconds) - 2) * period
    woken = readings[every : -2 * every : every] if case.waits else clock
    taken = woken + (case.latency if case.waits else min(case.latency, UNSEEN)) * period
    off = (options.work if case.waits else options.jitter) * noise[1, : len(taken)]
    return Truth(
        readings=readings.astype(np.int64),
        commands=np.sort(taken + off).astype(np.int64),
        decided_on=np.searchsorted(readings, woken, side="right") - 1,
    )


def make(kind: str, **values: Any) -> Any:
    """A ROS message of this type."""
    return STORE.types[kind](**values)


def write(path: Path, truth: Truth) -> None:
    """The bag, as `ros2 bag record` would write it."""
    joint, array = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"
    empty = make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        state, command = (
            writer.add_connection(topic, kind, typestore=STORE) for topic, kind in ((STATE, joint), (COMMAND, array))
        )
        for number, time in enumerate(truth.readings.tolist()):
            stamp = make("builtin_interfaces/msg/Time", sec=time // SECOND, nanosec=time % SECOND)
            header = make("std_msgs/msg/Header", stamp=stamp, frame_id="")
            reading = make(
                joint, header=header, name=["lift"], position=np.array([float(number)]), velocity=np.zeros(0),
                effort=np.zeros(0),
            )  # fmt: skip
            writer.write(state, time, STORE.serialize_cdr(reading, joint))
        for number, time in zip(truth.decided_on.tolist(), truth.commands.tolist(), strict=True):
            message = make(array, layout=empty, data=np.array([float(number)]))
            writer.write(command, time, STORE.serialize_cdr(message, array))


@dataclass(frozen=True, kw_only=True, eq=False)
class Apart:
    """Row by row, how far what was observed is from what the action was decided on; all in readings but `timed`.

    Args:
        ours: (T,) as imported.
        timed: (T,) the same in time, in periods of the policy.
        last: (T,) with the last command before the row's tick.
    """

    ours: NDArray[np.int64]
    timed: NDArray[np.float64]
    last: NDArray[np.int64]


def apart(options: Options, case: Case) -> Apart:
    """How far rows and actions are apart in a bag that was written and imported."""
    truth = simulated(options, case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bag"
        write(path, truth)
        topics = {"observation.state": f"{STATE}:position", "action": f"{COMMAND}:data"}
        (episode,) = open_source(path, ImportOptions(fps=RATE, task="count", topics=topics)).episodes
    seen = episode.columns["observation.state"].ravel().astype(int)
    found = episode.columns["action"].ravel().astype(int)
    last = truth.decided_on[(np.searchsorted(truth.commands, truth.readings[seen], side="right") - 1).clip(0)]
    inside = slice(3, -6)  # before the first and after the last command nothing can be right
    times = truth.readings / (SECOND / RATE)
    return Apart(
        ours=np.abs(found - seen)[inside],
        timed=np.abs(times[found] - times[seen])[inside],
        last=np.abs(last - seen)[inside],
    )


def rows_of(options: Options, rate: int, waits: bool) -> list[Row]:
    """Three rows, each the worst of all seeds."""
    furthest, timed, wrong, before = [], [], [], []
    for seed in options.seeds:
        phases = np.arange(options.phases) / options.phases
        cases = itertools.product(phases, options.latencies)
        found = [
            apart(options, Case(rate=rate, waits=waits, phase=phase, latency=latency, seed=seed))
            for phase, latency in cases
        ]
        ours = np.concatenate([each.ours for each in found]) * RATE / rate
        last = np.concatenate([each.last for each in found]) * RATE / rate
        furthest.append(float(ours.max()))
        timed.append(max(float(each.timed.max()) for each in found))
        wrong.append(100 * float((ours > 0.5).mean()))
        before.append(100 * float((last > 0.5).mean()))
    # Whether a free policy took a reading or the one before, nobody can know: where these lie further apart than half a
    # period, no import can promise it.
    judged = waits or rate >= 2 * RATE
    how = "the policy waits for it" if waits else "the policy has a clock of its own"
    peer = f"the last command before: {max(before):.0f} %"
    half = "<= 0.5" if judged else None
    return [
        worst(f"sensor at {rate} Hz, {how}: furthest from its row", furthest, "periods", must=half),
        worst("… in time, with the sensor's jitter", timed, "periods"),
        worst("… rows more than half a period off", wrong, "%", must="<= 0" if judged else None, peer=peer),
    ]


def worst(metric: str, values: list[float], unit: str, **bounds: str | None) -> Row:
    """The worst seed's value, with the whole spread."""
    spread = (min(values), max(values))
    return Row(metric=metric, value=max(values), unit=unit, spread=spread, seeds=len(values), **bounds)


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    asked = [*((rate, True) for rate in options.waits), *((rate, False) for rate in options.free)]
    return report("bags", [row for rate, waits in asked for row in rows_of(options, rate, waits)], options)


if __name__ == "__main__":
    sys.exit(main())
