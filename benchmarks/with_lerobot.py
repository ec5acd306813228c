"""`make test-lerobot`: LeRobot itself opens what was recorded, imported, merged and packed here, trains on it and
appends to it; and what it has written is appended to, selected from and checked here.

LeRobot has a Python of its own (`scripts/lerobot.sh`); `peers/inside_lerobot.py` runs there. Every frame, time and
statistic is compared with what is read here.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, parse, report

import numpy as np

from isthmus_datasets.format.episode_index import read_episode_statistics
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.statistics import QUANTILES
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.operations import keep_episodes
from isthmus_datasets.tools.scan.gather import gather

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TOLERANCES = {"min": 1e-6, "max": 1e-6, "mean": 1e-5, "std": 1e-4}  # of a column's range: it sums in float32
OF_IMAGES = 0.01  # of the whole range: it has seen every pixel, and we every second or third
GREY_LEVELS = 3.0  # two decoders turn YUV into RGB by other roundings


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Compare with LeRobot."""

    python: Path = ROOT / ".lerobot/bin/python"
    """The Python that has LeRobot."""
    episodes: int = 4
    """Episodes that are recorded."""


QUICK = Options(episodes=2)


class LeRobot:
    """Runs `peers/inside_lerobot.py` there."""

    def __init__(self, python: Path) -> None:
        self._command = [str(python), str(ROOT / "benchmarks/peers/inside_lerobot.py")]

    def run(self, *arguments: object) -> str:
        """The last line that it prints. Raises RuntimeError with what it said when it fails."""
        result = subprocess.run([*self._command, *map(str, arguments)], capture_output=True, text=True, cwd="/")
        if result.returncode:
            raise RuntimeError(f"LeRobot could not {' '.join(map(str, arguments))}:\n{result.stderr[-3000:]}")
        return (result.stdout.strip().splitlines() or [""])[-1]

    def look(self, root: Path) -> dict[str, Any]:
        """Every frame of a dataset as it reads it, and its statistics."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "seen.npz"
            self.run("look", root, out)
            with np.load(out, allow_pickle=False) as seen:
                plain = {name: json.loads(str(seen[name])) for name in ("told", "found", "episodes", "tasks")}
                return plain | {"frames": {name: seen[name] for name in seen.files if name not in plain}}


def command(program: str, *arguments: object) -> None:
    """Run a program of this project, and raise RuntimeError with what it said when it fails."""
    result = subprocess.run([str(BIN / program), *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{program} {' '.join(map(str, arguments))}:\n{result.stdout}{result.stderr}")


def prepare(folder: Path, episodes: int) -> dict[str, Path]:
    """Datasets that were made here: how -> where."""
    made = {name: folder / name for name in ("recorded", "imported", "merged", "packed")}
    command("isthmus-record", "push_t", made["recorded"], "--episodes", episodes)
    command("isthmus-dataset", "export-zarr", made["recorded"], folder / "buffer.zarr")
    subprocess.run([BIN / "isthmus-dataset", "import", folder / "buffer.zarr", made["imported"]], capture_output=True)
    command("isthmus-dataset", "merge", made["merged"], made["recorded"], made["recorded"])
    command("isthmus-dataset", "pack", made["merged"], made["packed"])
    return made


def compared(root: Path, seen: dict[str, Any]) -> dict[str, float]:
    """How far what LeRobot reads is from what is read here, at most: numbers, times (s), images (grey levels, mean of
    an image), tasks (1 where they differ), statistics that it is told and that it computes (times the tolerance)."""
    reader = DatasetReader(root)
    own = {name: [] for name in seen["frames"]}
    for row in reader.episodes:
        columns = reader.columns(row.index)
        for name, parts in own.items():
            if name in reader.info.cameras:
                parts.append(reader.frames(row.index, name).transpose(0, 3, 1, 2))
            elif name in columns:
                parts.append(columns[name].reshape(row.length, -1))
    off = {"numbers": 0.0, "times": 0.0, "images": 0.0}
    for name, parts in own.items():
        if not parts:
            continue
        ours, theirs = np.concatenate(parts), seen["frames"][name]
        ours = ours.astype(np.float32) if ours.dtype == np.float64 else ours  # which is all that it reads
        kind = "images" if name in reader.info.cameras else "times" if name == "timestamp" else "numbers"
        far = np.abs(theirs.reshape(ours.shape).astype(np.float64) - ours)
        off[kind] = max(off[kind], float(far.mean(axis=(1, 2, 3)).max() if kind == "images" else far.max()))
    words = [row.tasks[0] for row in reader.episodes for _ in range(row.length)]
    statistics = max(_statistics_off(root, seen), _episodes_off(reader, seen["episodes"]))
    return off | {"tasks": float(words != seen["tasks"]), "statistics": statistics}


def _statistics_off(root: Path, seen: dict[str, Any]) -> float:
    """Times what is tolerated."""
    ours, worst = json.loads((root / "meta/stats.json").read_bytes()), 0.0
    for name, each in ours.items():
        for key, value in each.items():
            worst = max(worst, math.inf if not np.allclose(seen["told"][name][key], value, atol=0, rtol=1e-6) else 0.0)
        if found := seen["found"].get(name):
            worst = max(worst, _moments_off(each, found))
    return worst


def _moments_off(own: dict[str, Any], found: dict[str, Any]) -> float:
    """Times what is tolerated."""
    span = np.ravel(np.maximum(np.subtract(own["max"], own["min"]), 1e-12))
    return max(
        float((np.abs(np.ravel(found[key]) - np.ravel(own[key])) / span).max()) / tolerance
        for key, tolerance in TOLERANCES.items()
    )


def _episodes_off(reader: DatasetReader, found: list[dict[str, Any]]) -> float:
    """Each episode's, times what is tolerated. It reads quantiles off a histogram: no more than one of an episode's
    values may lie between its own and ours."""
    worst = 0.0
    for row, own, theirs in zip(
        reader.episodes, read_episode_statistics(reader.root, reader.info), found, strict=True
    ):
        columns = reader.columns(row.index)
        for name, each in theirs.items():
            if name in reader.info.cameras:
                # Its standard deviation of images overflows (0.4.4).
                far = np.abs(np.ravel(each["mean"]) - np.ravel(own[name]["mean"])).max()
                worst = max(worst, float(far) / OF_IMAGES)
                continue
            worst = max(worst, _moments_off(own[name], each))
            values = columns[name].reshape(row.length, -1).astype(np.float32)
            for key in QUANTILES:
                low, high = np.sort([np.ravel(each[key]), np.ravel(own[name][key])], axis=0)
                slack = 1e-3 * np.ptp(values, axis=0)  # its bins, and numbers that occur many times
                between = (values > low + slack) & (values < high - slack)
                worst = max(worst, float(between.sum(axis=0).max()))
    return worst


def errors(root: Path) -> int:
    """What `isthmus-dataset check` calls errors. LeRobot's statistics of images and of large integers have no spread
    (0.4.4), as it finds; they do not count here."""
    found = [finding for finding in run_checks(gather(root)) if finding.severity == "error"]
    return len([finding for finding in found if finding.check != "statistics"])


def none(metric: str, count: float, peer: str | None = None) -> Row:
    """How many there are, of what there must not be any."""
    return Row(metric=metric, value=float(count), unit="", must="<= 0", peer=peer)


def agreement(how: str, root: Path, seen: dict[str, Any]) -> list[Row]:
    """What LeRobot has seen of a dataset, compared."""
    off = compared(root, seen)
    return [
        none(f"{how}: numbers and tasks that differ, at most", off["numbers"] + off["tasks"]),
        Row(metric="… times", value=1e6 * off["times"], unit="µs", must="<= 1"),
        Row(metric="… images, the worst one's mean", value=off["images"], unit="of 255", must=f"<= {GREY_LEVELS:g}"),
        Row(metric="… statistics, times what is tolerated", value=off["statistics"], unit="", must="<= 1"),
    ]


def trained(lerobot: LeRobot, root: Path, kind: str) -> list[Row]:
    """A step of a policy of LeRobot's, built from the statistics."""
    told = json.loads(lerobot.run("train", root, kind))
    known = [name for name in told["inputs"] if "simula" in name or "environment" in name]
    peer = f"reads {', '.join(told['inputs'])}; gives {', '.join(told['outputs'])}"
    return [
        none(f"a training step of {kind}: loss that is no number", not math.isfinite(told["loss"]), peer),
        none("… inputs that only a simulator knows, outputs but the action", len(known) + len(told["outputs"]) - 1),
    ]


def ours(lerobot: LeRobot, folder: Path, options: Options) -> list[Row]:
    """What was made here, there."""
    made = prepare(folder, options.episodes)
    rows = [row for how, root in made.items() for row in agreement(how, root, lerobot.look(root))]
    root = made["recorded"]
    rows += [row for kind in ("act", "diffusion") for row in trained(lerobot, root, kind)]
    before = DatasetReader(root)
    lerobot.run("append", root)
    after = DatasetReader(root)
    lacking = before.num_episodes + 1 - after.num_episodes
    shorter = before.episodes[0].length - after.episodes[-1].length
    return [
        *rows,
        none("LeRobot appends to the recorded one: episodes, rows that are not there", abs(lacking) + abs(shorter)),
        none("… errors that check finds", errors(root)),
    ]


def theirs(lerobot: LeRobot, folder: Path) -> list[Row]:
    """What LeRobot has made, here and back."""
    root, kept = folder / "theirs", folder / "kept"
    lerobot.run("make", root)
    rows = [none("LeRobot's own: errors that check finds", errors(root))]
    _append(root)
    rows += agreement("… appended to here", root, lerobot.look(root))
    keep_episodes(root, kept, [2, 0, 3])
    rows += agreement("… selected from here", kept, lerobot.look(kept))
    return rows


def _append(root: Path) -> None:
    episode = DatasetReader(root).episode(0)
    with DatasetWriter.open(root) as writer:
        writer.append(replace(episode, facts={}, final=None))


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if not options.python.exists():
        print(f"there is no {options.python}: scripts/lerobot.sh makes it")
        return 0
    lerobot = LeRobot(options.python)
    with tempfile.TemporaryDirectory() as temporary:
        rows = ours(lerobot, Path(temporary), options) + theirs(lerobot, Path(temporary))
    return report("lerobot", rows, options)


if __name__ == "__main__":
    sys.exit(main())
