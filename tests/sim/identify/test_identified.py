"""The command from logs to a file, and from the file to what training draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus_sim.identify.identified import Identified, Range, randomization, read_identified
from isthmus_sim.identify.log import LogError
from isthmus_sim.identify.made import made_log
from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.scene import Scene

TRUTH = {
    "torque_constant": 0.45, "resistance": 5.5, "armature": 1.5e-3, "duty_gain": 2.88e-3, "duty_curve": 0.3,
    "delay": 8e-3, "offset": 0.015, "coulomb": 0.02, "viscous": 4e-3,
}  # fmt: skip
DATA = Path(__file__).parents[4] / "shared" / "data" / "bam_xl330"


def write_table(folder: Path, goal: str, gain: float) -> None:
    log = made_log(TRUTH, "coulomb", goal, gain, np.random.default_rng(1))
    assert log.duty is not None
    heads = [f"# {name}: {getattr(log, name)}" for name in ("firmware_gain", "mass", "length", "supply")]
    columns = (log.time_s, log.goal, log.position, log.powered, log.duty)
    rows = [",".join(f"{value:.7g}" for value in row) for row in zip(*columns, strict=True)]
    (folder / f"{log.name}.csv").write_text("\n".join([*heads, "time_s,goal,position,powered,duty", *rows]))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus_sim.identify.command", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_from_tables_to_what_is_drawn(tmp_path: Path):
    logs = tmp_path / "logs"
    logs.mkdir()
    for goal in ("two_sines", "lift_and_drop", "chirp"):
        write_table(logs, goal, 400.0)
    out = tmp_path / "servo.json"
    done = run(logs, "--friction", "coulomb", "--hold-out", "chirp_400", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "held out chirp_400: mean error" in done.stdout
    found = read_identified(out)
    stiffness = 0.45 / 5.5 * 7.4 * 400 * 2.88e-3 * 1.3
    assert found.drive["stiffness"].value == pytest.approx(stiffness, rel=0.05)
    assert found.drive["command_delay_s"].low < 8e-3 < found.drive["command_delay_s"].high


def test_a_folder_without_logs_and_a_name_that_is_none_are_refused(tmp_path: Path):
    assert "isthmus-identify: no file: a log is one of .json, .csv" in run(tmp_path).stderr
    write_table(tmp_path, "two_sines", 400.0)
    done = run(tmp_path, "--hold-out", "other")
    assert done.returncode != 0
    assert "there is no log other to hold out; there are: two_sines_400" in done.stderr


def made_up(**drive: tuple[float, float]) -> Identified:
    ranges = {name: Range(unit="1", value=low, low=low, high=high) for name, (low, high) in drive.items()}
    return Identified(
        friction="load", logs=("a", "b"), error_rad=0.02, parameters=ranges, drive=ranges, drive_at={"supply": 7.4},
        remarks=("resistance: said",),
    )  # fmt: skip


def test_a_file_reads_back_equal_and_others_are_refused(tmp_path: Path):
    found, path = made_up(stiffness=(20.0, 22.0)), tmp_path / "servo.json"
    found.write(path)
    assert read_identified(path) == found
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(LogError, match="has version 9; this program reads version 1"):
        read_identified(path)
    path.write_text("{}")
    with pytest.raises(LogError, match="not of isthmus-identify"):
        read_identified(path)


def test_a_scene_draws_what_it_has_of_it_within_the_interval():
    scene = Scene(robot=ROBOT, timestep_s=0.004, quantities=())
    draws = randomization(scene, made_up(stiffness=(20.0, 22.0), command_delay_s=(0.004, 0.006), armature=(1e-3, 2e-3)))
    drawn = {}
    for draw in draws:
        drawn |= draw(200, torch.Generator().manual_seed(0))
    assert sorted(drawn) == ["command_delay_s", "stiffness"]
    assert drawn["stiffness"].shape == (200, 12)
    assert 20.0 <= drawn["stiffness"].min() < 20.1 < 21.9 < drawn["stiffness"].max() <= 22.0
    with pytest.raises(ValueError, match="quadruped has none of the parameters armature; it has: stiffness"):
        randomization(scene, made_up(armature=(1e-3, 2e-3)))


@pytest.mark.long
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the logs of Rhoban's testbench are not in {DATA.name}")
def test_a_real_servo_is_predicted_in_logs_that_it_was_not_learnt_from(tmp_path: Path):
    held = ("2026-01-15_10h28m10", "2026-01-15_10h29m04", "2026-01-15_10h30m02")
    done = run(DATA, "--hold-out", *held, "--out", tmp_path / "xl330.json")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("held out")]
    assert len(lines) == 3
    assert all(float(line.split("mean error ")[1].split()[0]) < 53.0 for line in lines), done.stdout
