"""The headlines that every report has."""

from __future__ import annotations

from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.demo.report.record import Demo


def facts(demo: Demo, kind: DemoKind) -> list[Fact]:
    """The headlines, for the page and for the terminal."""
    return [*kind.making.facts(demo), _simulation(demo), *kind.facts(demo), _latency(demo), _loop(demo)]


def _simulation(demo: Demo) -> Fact:
    score = demo.contract.provenance.evaluation
    if "success" not in score:
        return Fact(label="In simulation", value="not evaluated", detail="the contract holds no evaluation")
    low, share, high = score["success"]
    detail = (
        f"of {score['episodes']} episodes: {score['success_is']} (95 %: {_percent(low)} to {_percent(high)}); "
        f"{_percent(score['failed'][1])} failed"
    )
    return Fact(label="In simulation", value=_percent(share), detail=detail)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _latency(demo: Demo) -> Fact:
    label = "Sensor to command over ROS 2"
    if not demo.robot:
        return Fact(label=label, value="not measured", detail="the stand-in robot did not end by itself")
    here = demo.robot["sensor_to_command"]
    detail = f"median; p99 {_ms(here['p99_us'])}"
    if demo.echo:
        detail += f". Bare echo: {_ms(demo.echo['p50_us'])}, p99 {_ms(demo.echo['p99_us'])}"
    return Fact(label=label, value=_ms(here["p50_us"]), detail=detail)


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1e3:.2f} ms"


def _loop(demo: Demo) -> Fact:
    rate = 1 / demo.contract.control_period_s
    if not demo.node:
        return Fact(label="Control loop", value=f"{rate:g} Hz", detail="the policy node did not end by itself")
    loop = demo.node["loop"]
    overruns = f"{loop['overruns']} overrun{'' if loop['overruns'] == 1 else 's'}"
    detail = f"{loop['cycles']} ticks, {loop['missed_readings']} without their reading, {overruns}"
    return Fact(label="Control loop", value=f"{rate:g} Hz", detail=detail)
