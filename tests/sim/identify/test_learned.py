"""A residual learns from logs what the motor's formula lacks, and is judged on logs that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isthmus_sim.identify import command
from isthmus_sim.identify.fit import Fit
from isthmus_sim.identify.learned import BASE, fit_motors, inputs, learn, predicted
from isthmus_sim.identify.log import ServoLog
from isthmus_sim.identify.made import made_log
from isthmus_sim.identify.servo import UNKNOWNS, Bench, names
from isthmus_sim.identify.uncertainty import know
from isthmus_sim.residual import read_residual

TRUTH = {name: UNKNOWNS[name].parameter.nominal[0] for name in names("load")} | {"duty_curve": 0.5, "motor_load": 0.3}
"""A servo with what `PDMotors` lack: a bridge with a curve, and friction that depends on what the gears carry."""


def logs_of(*goals: str) -> list[ServoLog]:
    random = np.random.default_rng(2)
    return [made_log(TRUTH, "load", goal, gain, random) for goal in goals for gain in (200.0, 800.0)]


def error(logs: list[ServoLog], positions: np.ndarray) -> float:
    return float(np.abs(positions - Bench(logs, BASE).measured).mean())


@pytest.mark.long
def test_logs_kept_back_are_told_better_with_it(tmp_path: Path):
    learnt, kept = logs_of("two_sines", "chirp"), logs_of("up_and_down")
    known = know(fit_motors(learnt), Bench(learnt, BASE))
    found = learn(learnt, known)
    with_it, familiar = predicted(kept, known.fit, found)
    alone = Bench(kept, BASE).positions(known.fit.values[None])[0]
    assert error(kept, with_it) < 0.7 * error(kept, alone)
    assert 0.8 < familiar <= 1.0
    assert found.logs == tuple(log.name for log in learnt)
    found.write(tmp_path / "residual.json")
    again, _ = predicted(kept, known.fit, read_residual(tmp_path / "residual.json"))
    assert np.array_equal(again, with_it), "a file holds all of it"


def test_what_it_would_have_been_given_by_hand():
    """At a gain of 200, 0.0029 of the stall torque by rad and gain: 0.1 rad of error less 8 ms at 1 rad/s."""
    times = np.arange(0.0, 1.0, 0.01)
    log = ServoLog(
        name="by hand", time_s=times, goal=times + 0.1, position=times, powered=times < 0.5, firmware_gain=200.0,
        mass=0.5, length=0.1, supply=7.4,
    )  # fmt: skip
    base = fit_of({"duty_gain": 0.0029, "delay": 0.008, "torque_constant": 0.37})
    asked, speed = inputs(log, base)
    assert asked[20] == pytest.approx(200 * 0.0029 * (0.1 - 0.008))
    assert speed[20] == pytest.approx(1.0 * 0.37 / 7.4)
    assert asked[60] == 0.0
    assert speed[60] == np.inf, "never known"


def fit_of(values: dict[str, float]) -> Fit:
    nominal = {name: UNKNOWNS[name].parameter.nominal[0] for name in names(BASE)} | values
    return Fit(
        friction=BASE, values=np.array([nominal[name] for name in names(BASE)]), fixed=frozenset(),
        starts=np.zeros(1), residual=np.zeros(1), jacobian=np.zeros((1, len(nominal))),
    )  # fmt: skip


def test_what_is_held_is_not_fitted():
    logs = logs_of("two_sines")
    assert dict(zip(names(BASE), fit_motors(logs).values, strict=True))["duty_curve"] == 0.0
    assert "duty_curve" in fit_motors(logs).fixed


@pytest.mark.long
def test_the_command_writes_it_and_says_what_it_is_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    for log in logs_of("two_sines", "chirp"):
        table_of(log, tmp_path / f"{log.name}.csv")
    monkeypatch.setattr(
        "sys.argv",
        ["isthmus-identify", str(tmp_path), "--friction", "coulomb", "--hold-out", "chirp_800", "--out",
         str(tmp_path / "servo.json"), "--residual", str(tmp_path / "beside.json")],
    )  # fmt: skip
    command.main()
    printed = capsys.readouterr().out
    assert "as PDMotors, held out: mean error" in printed
    assert "it was known in" in printed
    assert "chirp_800" not in read_residual(tmp_path / "beside.json").logs


def table_of(log: ServoLog, path: Path) -> None:
    facts = {name: getattr(log, name) for name in ("firmware_gain", "mass", "length", "supply")}
    lines = [f"# {name}: {value:g}" for name, value in facts.items()]
    for t, goal, position, powered in zip(log.time_s, log.goal, log.position, log.powered, strict=True):
        lines.append(f"{t:.6f},{goal:.6f},{position:.6f},{int(powered)}")
    lines.insert(len(facts), "time_s,goal,position,powered")
    path.write_text("\n".join(lines))
