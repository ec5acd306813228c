"""`make bench-bags`: actions of imported ROS 2 bags beside the observations that they were decided on.

Each bag holds a sensor and a policy that counts: a reading says its number, and a command the number of the reading
that it was decided on. So every row of the import says by how much the two are apart. A policy waits for a sensor that
is as fast as itself, and then takes any part of a period; beside a faster sensor it runs in any phase, and what it
takes, at most 0.4 of a period, nobody can see. Beside each stands what the last command before the tick would be.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import BenchOptions, over_seeds, parse, report

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
    rates: tuple[int, ...] = (50, 100, 200)
    """Sensors' readings a second."""
    phases: int = 8
    """Phases of the sensor, all through its period."""
    latencies: tuple[float, ...] = (0.05, 0.3, 0.6, 0.85)
    """Times from waking to the command, as shares of a period; a free-running policy takes `UNSEEN` at most."""
    jitter: float = 0.1
    """The most that a reading and a command are off their time, as a share of a period."""
    seconds: float = 4.0
    """Length of a bag."""


QUICK = Options(seeds=(1,), rates=(50,), phases=2, latencies=(0.35,), seconds=1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """Times in ns: of readings, of commands, and which reading each command was decided on."""

    readings: NDArray[np.int64]
    commands: NDArray[np.int64]
    decided_on: NDArray[np.int64]


def simulated(options: Options, rate: int, phase: float, latency: float, seed: int) -> Truth:
    """A policy that wakes with a reading of a sensor at its own rate, or else in its phase; takes the newest reading;
    and sends a command so much later."""
    random, period = np.random.default_rng(seed), SECOND / RATE
    count = round(rate * options.seconds)
    noise = options.jitter * period * random.uniform(size=(2, count))
    readings = START + (np.arange(count) + phase) * SECOND / rate + noise[0] * RATE / rate
    free = rate != RATE
    woken = START + np.arange(1, round(RATE * options.seconds) - 2) * period if free else readings[1:-2]
    taken = woken + (min(latency, UNSEEN) if free else latency) * period
    return Truth(
        readings=readings.astype(np.int64),
        commands=np.sort(taken + noise[1, : len(taken)]).astype(np.int64),
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


def apart(options: Options, rate: int, phase: float, latency: float, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Row by row, in periods of the policy: how far what was observed is from what the action was decided on, and how
    far it would be with the last command before the row's tick."""
    truth = simulated(options, rate, phase, latency, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bag"
        write(path, truth)
        topics = {"observation.state": f"{STATE}:position", "action": f"{COMMAND}:data"}
        (episode,) = open_source(path, ImportOptions(fps=RATE, task="count", topics=topics)).episodes
    seen = episode.columns["observation.state"].ravel().astype(int)
    ticks = truth.readings[seen]
    last = truth.decided_on[(np.searchsorted(truth.commands, ticks, side="right") - 1).clip(0)]
    found = episode.columns["action"].ravel().astype(int)
    inside = slice(3, -6)  # before the first and after the last command nothing can be right
    times = truth.readings / (SECOND / RATE)
    return np.abs(times[found] - times[seen])[inside], np.abs(times[last] - times[seen])[inside]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    rows = []
    for rate in options.rates:
        worst, previous, before = [], [], []
        for seed in options.seeds:
            cases = itertools.product(np.arange(options.phases) / options.phases, options.latencies)
            found = [apart(options, rate, phase, latency, seed) for phase, latency in cases]
            ours, last = (np.concatenate(parts) for parts in zip(*found, strict=True))
            worst.append(float(ours.max()))
            previous.append(100 * float((ours > 0.5 + options.jitter).mean()))
            before.append(100 * float((last > 0.5 + options.jitter).mean()))
        peer = f"the last command before: {np.median(before):.0f} %"
        must = f"<= {0.5 + options.jitter:g}"
        rows += [
            over_seeds(f"sensor at {rate} Hz: the action that is furthest from its row", worst, "periods", must=must),
            over_seeds("… rows with another period's action", previous, "%", must="<= 0", peer=peer),
        ]
    return report("bags", rows, options)


if __name__ == "__main__":
    sys.exit(main())
