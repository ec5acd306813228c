"""Logs are read as they are written, and what cannot be learnt from is refused in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus_sim.identify.bam import read_bam
from isthmus_sim.identify.log import LogError, ServoLog
from isthmus_sim.identify.table import read_csv

TIME = np.arange(0.0, 1.0, 0.005)
SOUND = ServoLog(
    name="swing", time_s=TIME, goal=np.sin(6 * TIME), position=0.8 * np.sin(6 * TIME), powered=TIME >= 0.0,
    firmware_gain=200.0, mass=0.5, length=0.1, supply=7.4,
)  # fmt: skip


def after(index: int, jump: float) -> np.ndarray:
    times = TIME.copy()
    times[index:] += jump
    return times


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"time_s": after(100, -0.2)}, r"swing: its clock jumps by -0.195 s after 0.495 s"),
        ({"time_s": after(100, 0.5)}, r"nothing was recorded for 0.505 s after 0.495 s"),
        ({"time_s": TIME * 1e3}, r"time must be in seconds"),
        ({"time_s": TIME * 1e-3}, r"shorter than 0.5 s; time must be in seconds"),
        ({"position": np.degrees(SOUND.position)}, r"position reaches 45.8.* is it in degrees\?"),
        ({"goal": SOUND.goal / (2 * np.pi / 4096)}, r"goal reaches 65.* is it in ticks of 4096 a turn\?"),
        ({"position": 0.001 * SOUND.position}, r"the shaft moves by 0.0016 rad in all: nothing can be learnt"),
        ({"position": np.where(TIME > 0.9, np.nan, 0.3)}, r"position has 19 values that are no numbers"),
        ({"mass": 0.0}, r"mass is 0; it must be a positive number"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(changed: dict, words: str):
    with pytest.raises(LogError, match=words):
        replace(SOUND, **changed)


def write_bam(path: Path, **changed) -> Path:
    loads = np.tile([885, 65536 - 885], 100).tolist()
    entries = [
        {"timestamp": 3.0 + t, "goal_position": g, "position": p, "torque_enable": bool(t < 0.5), "load": load}
        for t, g, p, load in zip(TIME.tolist(), SOUND.goal, SOUND.position, loads, strict=True)
    ]
    facts = {"mass": 0.5, "length": 0.1, "kp": 200, "vin": 7.4, "motor": "xl330", "entries": entries}
    path.write_text(json.dumps({name: value for name, value in (facts | changed).items() if value is not None}))
    return path


def test_a_log_of_the_bam_testbench_is_read(tmp_path: Path):
    log = read_bam(write_bam(tmp_path / "one.json"))
    assert (log.name, log.firmware_gain, log.mass, log.supply) == ("one", 200, 0.5, 7.4)
    np.testing.assert_allclose(log.time_s, TIME, atol=1e-12)
    np.testing.assert_array_equal(log.powered, TIME < 0.5)
    assert log.duty is not None
    assert log.duty[:2].tolist() == [1.0, -1.0], "the load is a 16-bit number in two's complement"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"motor": "mx106"}, "is of the servo 'mx106'; known are xl330"),
        ({"kp": None}, "it lacks kp"),
        ({"entries": [{"timestamp": 0.0, "goal_position": 0.0}]}, "entry 0 has no 'position'"),
        ({"entries": []}, "entry 0 has no 'timestamp'; the first one has: none"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, changed: dict, words: str):
    with pytest.raises(LogError, match=words):
        read_bam(write_bam(tmp_path / "one.json", **changed))
    (tmp_path / "text.json").write_text("swing")
    with pytest.raises(LogError, match="cannot be read as JSON"):
        read_bam(tmp_path / "text.json")


def write_csv(path: Path, heads: str, columns: str) -> Path:
    rows = [f"{t:.4f},{g:.6f},{p:.6f}" for t, g, p in zip(TIME, SOUND.goal, SOUND.position, strict=True)]
    path.write_text("\n".join([heads, columns, *rows]))
    return path


HEADS = "# firmware_gain: 200\n# mass: 0.5\n# length: 0.1\n# supply: 7.4"


def test_a_table_is_read(tmp_path: Path):
    log = read_csv(write_csv(tmp_path / "swing.csv", HEADS, "time_s,goal,position"))
    np.testing.assert_allclose(log.position, SOUND.position, atol=1e-6)
    assert (log.length, log.duty, log.powered.all()) == (0.1, None, True)


@pytest.mark.parametrize(
    ("heads", "columns", "words"),
    [
        ("# mass: 0.5", "time_s,goal,position", "says no firmware_gain, length, supply"),
        (HEADS, "time_s,hip,knee", "has the columns time_s, hip, knee; one servo's log needs time_s, goal, position"),
        (HEADS.replace("200", "much"), "time_s,goal,position", "could not convert string"),
    ],
)
def test_another_table_is_refused(tmp_path: Path, heads: str, columns: str, words: str):
    with pytest.raises(LogError, match=words):
        read_csv(write_csv(tmp_path / "swing.csv", heads, columns))
