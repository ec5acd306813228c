"""One page about one run of the demo: what was trained, exported and flown, in numbers, plots and a video."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy import policy_file
from isthmus_deploy.contract import Contract
from isthmus_deploy.ros import realtime
from isthmus_policies import plots
from isthmus_policies.export import POLICY_FILE
from isthmus_policies.files import code_revision, write_atomically
from isthmus_policies.logs import read_metrics

REPORT, VIDEO, RUN, FLIGHT = "report.html", "flight.mp4", "run", "flight"
ROBOT_LOG, NODE_LOG, ECHO_LOG = "robot.json", "node.json", "echo.json"

Vector = NDArray[np.float64]


class ReportError(ValueError):
    """There is not enough in the folder to make a report of; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What a run of the demo left in its folder.

    metrics: rows of the training's metrics.csv; flight: flight.json; arrays: flight.npz (see `FlightLog.arrays`);
    robot, node, echo: what the stand-in robot, the policy node and the bare echo measured, empty where a process did
    not end by itself.
    """

    folder: Path
    contract: Contract
    digest: str
    policy_bytes: int
    metrics: list[dict[str, float]]
    flight: dict[str, Any]
    arrays: dict[str, Vector]
    robot: dict[str, Any]
    node: dict[str, Any]
    echo: dict[str, Any]

    @property
    def phases(self) -> list[plots.Phase]:
        return [(phase["name"], phase["start_s"], phase["end_s"]) for phase in self.flight["phases"]]

    @property
    def error(self) -> Vector:
        """Distance from the reference, (t,) m."""
        return np.linalg.norm(self.arrays["position"] - self.arrays["reference_position"], axis=1)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One headline of the report."""

    label: str
    value: str
    detail: str


def load_demo(folder: Path) -> Demo:
    """Read what the demo left in `folder`. Raises ReportError, PolicyFileError, OSError."""
    policy = policy_file.read(folder / RUN / POLICY_FILE)
    flight = folder / FLIGHT
    if not (flight / "flight.npz").is_file():
        raise ReportError(f"{flight} holds no flight.npz: the mission recorded nothing")
    with np.load(flight / "flight.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if len(arrays["time"]) < 2:
        raise ReportError(f"{flight} holds a flight of {len(arrays['time'])} samples: there is nothing to show")
    return Demo(
        folder=folder,
        contract=policy.contract,
        digest=policy.digest,
        policy_bytes=len(policy.model),
        metrics=read_metrics(folder / RUN),
        flight=_read_json(flight / "flight.json"),
        arrays=arrays,
        robot=_read_json(folder / ROBOT_LOG),
        node=_read_json(folder / NODE_LOG),
        echo=_read_json(folder / ECHO_LOG),
    )


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def write_report(demo: Demo) -> Path:
    """Write the page into the demo's folder; returns its path. Raises OSError."""
    path = demo.folder / REPORT
    write_atomically(path, page(demo).encode())
    return path


# --- headlines ---


def facts(demo: Demo) -> list[Fact]:
    """The headlines, for the page and for the terminal."""
    return [_training(demo), _simulation(demo), *_flown(demo), _latency(demo), _loop(demo)]


def _training(demo: Demo) -> Fact:
    last = demo.metrics[-1]
    steps, seconds = last["steps"], last["seconds"]
    detail = f"{steps / 1e6:.2g} million steps, {steps / seconds / 1e3:.0f} thousand a second"
    return Fact(label="Training", value=f"{seconds:.1f} s", detail=detail)


def _simulation(demo: Demo) -> Fact:
    score = demo.contract.provenance.evaluation
    if "success" not in score:
        return Fact(label="In simulation", value="not evaluated", detail="the contract holds no evaluation")
    low, share, high = score["success"]
    detail = f"of {score['episodes']} episodes reach their end (95 %: {_percent(low)} to {_percent(high)})"
    return Fact(label="In simulation", value=_percent(share), detail=detail)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _flown(demo: Demo) -> list[Fact]:
    plan, errors = demo.flight["plan"], demo.flight["tracking_m"]
    speed = float(np.linalg.norm(demo.arrays["reference_velocity"], axis=1).max())
    details = {
        "hover": f"root mean square at a height of {plan['height_m']:g} m; largest {{worst:.1f}} cm",
        "figure-eight": f"root mean square, laps of {plan['period_s']:g} s at up to {speed:.1f} m/s; "
        "largest {worst:.1f} cm",
    }
    return [
        Fact(
            label=f"Error in flight, {phase}",
            value=_centimetres(errors[phase]["rmse"]) if phase in errors else "not flown",
            detail=detail.format(worst=100 * errors[phase]["max"]) if phase in errors else "the flight ended before",
        )
        for phase, detail in details.items()
    ]


def _centimetres(metres: float) -> str:
    return f"{100 * metres:.1f} cm"


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


# --- the page ---


def page(demo: Demo) -> str:
    """The whole page: everything it shows is in it."""
    css = files("isthmus_policies").joinpath("report.css").read_text()
    sections = (_film(demo), _path(demo), _tracking(demo), _learning(demo), _timing(demo), _contract(demo))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Isthmus demo: {escape(demo.contract.provenance.task)}</title>
<style>
{css}</style>
</head>
<body>
<main>
{_header(demo)}
<div class="facts">{"".join(_fact(fact) for fact in facts(demo))}</div>
{"".join(sections)}
{_footer(demo)}
</main>
</body>
</html>
"""


def _header(demo: Demo) -> str:
    if demo.flight["success"]:
        verdict = '<span class="verdict good">✓ The flight succeeded</span>'
    else:
        verdict = f'<span class="verdict bad">✗ The flight failed: {escape("; ".join(demo.flight["failures"]))}</span>'
    return f"""<header>
<div class="brand">Isthmus</div>
<h1>From simulation to a ROS 2 robot, in one graph</h1>
<p>A policy for the {escape(demo.contract.robot)}, trained on this machine, exported as one graph from raw sensor
readings to motor commands, and flown by a ROS 2 node over real DDS. The robot was a stand-in: another simulation, in a
process of its own. No hardware has flown.</p>
{verdict}
</header>"""


def _fact(fact: Fact) -> str:
    # A number stays on the line of its unit.
    label, value, detail = (
        re.sub(r"(?<=\d) (?=[%a-z])", "\u00a0", escape(text)) for text in (fact.label, fact.value, fact.detail)
    )
    return (
        f'<div class="fact"><div class="label">{label}</div><div class="value">{value}</div>'
        f'<div class="detail">{detail}</div></div>'
    )


def _section(title: str, text: str, *parts: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<p>{text}</p>\n" + "\n".join(parts) + "\n</section>\n"


def _film(demo: Demo) -> str:
    path = demo.folder / VIDEO
    film = "<p>No video: this machine has no off-screen renderer.</p>"
    if path.is_file():
        data = base64.b64encode(path.read_bytes()).decode()
        film = f'<video controls muted loop autoplay playsinline src="data:video/mp4;base64,{data}"></video>'
    keys = (
        '<p class="keys"><span class="key" style="color:var(--flown)"></span>flown<br>'
        '<span class="key" style="color:var(--reference)"></span>reference, and a ball where the robot should be<br>'
        "A square of the floor is 25 cm wide. Front rotors are red.</p>"
    )
    body = f"<div><h3>The body it flew in</h3>{_body(demo.robot)}{keys}</div>" if demo.robot else f"<div>{keys}</div>"
    text = "The recorded flight, drawn afterwards. The policy was told nothing of this body, its motors or its delay."
    return _section("The flight", text, f'<div class="beside">{film}{body}</div>')


# What the stand-in robot's parameters are called, and their factor and unit on the page.
_BODY = {
    "mass": ("mass", 1e3, "g"),
    "time_constant_up": ("motors, time constant up", 1e3, "ms"),
    "time_constant_down": ("motors, time constant down", 1e3, "ms"),
    "battery": ("rotor speed reached", 1e2, "%"),
}


def _body(robot: dict[str, Any]) -> str:
    rows = [
        (label, f"{robot['parameters'][name] * factor:.1f} {unit}")
        for name, (label, factor, unit) in _BODY.items()
        if name in robot["parameters"]
    ]
    rows.append(("velocity estimate late by", f"{robot['estimator_delay_s'] * 1e3:.1f} ms"))
    return _table(("drawn with seed " + str(robot["seed"]), ""), rows, numbers=(1,))


def _path(demo: Demo) -> str:
    a = demo.arrays
    text = "Where the robot was, against where it was asked to be. True positions, not the policy's noisy readings."
    plot = plots.path(a["time"], a["position"], a["reference_position"], demo.phases)
    return _section("Path", text, plot)


def _tracking(demo: Demo) -> str:
    errors = demo.flight["tracking_m"]
    text = (
        "Distance between robot and reference. The figure-eight is entered and left over half a period each; the hover "
        "counts once it has settled."
    )
    plot = plots.tracking(
        demo.arrays["time"], demo.error, demo.phases, {name: value["rmse"] for name, value in errors.items()}
    )
    columns = ("rmse", "rmse_xy", "mean", "max")
    rows = [(escape(name), *(f"{100 * value[column]:.1f}" for column in columns)) for name, value in errors.items()]
    head = ("phase", "root mean square, cm", "horizontal only, cm", "mean, cm", "largest, cm")
    return _section("Tracking error", text, plot, _table(head, rows, numbers=(1, 2, 3, 4)))


def _learning(demo: Demo) -> str:
    text = (
        "The thin line has one point for each roll-out of all worlds, the thick one is a running mean. The reward's "
        "weights grow until the dashed line, so that the same flying earns less."
    )
    return _section("Learning", text, plots.learning_curves(demo.metrics, demo.contract.control_period_s))


def _timing(demo: Demo) -> str:
    latency, period = observed_timing(demo.arrays)
    text = (
        "The histograms are what the operator's process saw on the network, so they include its own delays; the table "
        "is what each process measured itself. The bare echo is the limit: the same messages, answered without work."
    )
    if demo.echo:
        cores = len(os.sched_getaffinity(0))
        text += f" Load average then: {demo.echo['load_average']:.1f} on {cores} cores."
        text += " Robot, node and echo ran with real-time scheduling." if realtime.prefix() else ""
    plot = plots.timing(latency, period, demo.contract.control_period_s) if len(latency) and len(period) else ""
    node, sections = demo.node, demo.node.get("sections", {})
    measured = [
        ("sensor to command, robot → node → robot", demo.robot.get("sensor_to_command")),
        ("the same, bare echo", demo.echo or None),
        ("reading to command, inside the node", node.get("reading_to_command")),
        ("one inference with all safety checks", sections.get("policy")),
        ("tick period, distance from nominal", node.get("loop", {}).get("period_error")),
    ]
    columns = ("p50_us", "p90_us", "p99_us", "max_us")
    rows = [
        (name, *(f"{row[column] / 1e3:.2f}" for column in columns), f"{row['count']}") for name, row in measured if row
    ]
    head = ("", "median, ms", "p90, ms", "p99, ms", "largest, ms", "count")
    return _section("Control-loop timing", text, plot, _table(head, rows, numbers=(1, 2, 3, 4, 5)))


def observed_timing(arrays: dict[str, Vector]) -> tuple[Vector, Vector]:
    """From a flight's record: time from each true state to the first command after it, and from command to command, s.

    The robot publishes its true state just before its readings.
    """
    commands, truth = arrays["command_time"], arrays["time"]
    before = np.searchsorted(truth, commands, side="right") - 1
    answered, first = np.unique(before, return_index=True)
    known = answered >= 0
    return commands[first[known]] - truth[answered[known]], np.diff(commands)


def _contract(demo: Demo) -> str:
    contract = demo.contract
    text = (
        "It travels inside the policy file. The node compared it with what the robot says of itself, line by line, and "
        "would have refused to start on any difference."
    )
    rate, period = 1 / contract.control_period_s, 1e3 * contract.control_period_s
    general = [
        ("robot", escape(contract.robot)),
        ("control period", f"{period:g} ms ({rate:g} Hz)"),
        ("trained for a latency of", f"{1e3 * contract.trained_latency_s:g} ms from sensor to motor"),
        ("policy file", f"{demo.policy_bytes / 1024:.0f} KiB, contract version {contract.version}"),
        ("digest (SHA-256)", f'<code class="long">{demo.digest}</code>'),
    ]
    return _section(
        "The contract", text, _table(None, general), _signals(contract), _commands(contract), _rest(contract)
    )


def _signals(contract: Contract) -> str:
    rows = [
        (f"<code>{escape(s.name)}</code>", _unit(s.unit), escape(s.frame), " ".join(map(escape, s.order)),
         _range(s.minimum, s.maximum), _same(s.max_jump),
         "until replaced" if s.max_age_s is None else f"{s.max_age_s:g}")
        for s in contract.signals
    ]  # fmt: skip
    head = ("signal", "unit", "frame", "elements", "plausible", "largest jump", "oldest, s")
    return "<h3>Signals, robot → policy</h3>" + _table(head, rows, numbers=(4, 5, 6))


def _commands(contract: Contract) -> str:
    rows = [
        (f"<code>{escape(c.name)}</code>", _unit(c.unit), escape(c.frame), " ".join(map(escape, c.order)),
         _range(c.minimum, c.maximum), _same(c.max_rate), _same(c.safe))
        for c in contract.commands
    ]  # fmt: skip
    head = ("command", "unit", "frame", "elements", "range", "fastest change, per s", "when stopped")
    return "<h3>Commands, policy → robot</h3>" + _table(head, rows, numbers=(4, 5, 6))


def _rest(contract: Contract) -> str:
    memory = [
        (f"<code>{escape(m.name)}</code>", " × ".join(map(str, m.shape)), escape(m.order), escape(str(m.initial)))
        for m in contract.memory
    ]
    joints = [
        (f"<code>{escape(name)}</code>", f"{j.stiffness:g}", f"{j.damping:g}",
         f"{j.position_min:g} … {j.position_max:g}", f"{j.velocity_limit:g}", f"{j.effort_limit:g}",
         f"{j.default_position:g}")
        for name, j in contract.joints.items()
    ]  # fmt: skip
    origin = contract.provenance
    rows = [
        ("task", escape(origin.task)),
        ("seed", str(origin.seed)),
        ("demonstrations", escape(origin.data or "none")),
        ("code revision", f"<code>{escape(origin.code_revision)}</code>"),
        ("exported", escape(origin.created)),
    ]
    head = ("joint", "stiffness", "damping", "position", "speed limit", "effort limit", "default")
    return (
        ("<h3>Memory</h3>" + _table(("name", "shape", "order", "initial"), memory) if memory else "")
        + ("<h3>Joints, SI units</h3>" + _table(head, joints, numbers=(1, 2, 3, 4, 5, 6)) if joints else "")
        + "<h3>Where it came from</h3>"
        + _table(None, rows)
    )


def _unit(unit: str) -> str:
    return "–" if unit == "1" else escape(unit)


def _range(low: Sequence[float], high: Sequence[float]) -> str:
    least, most = _same(low), _same(high)
    return f"±{most}" if least == f"-{most}" else f"{least} … {most}"


def _same(values: Sequence[float]) -> str:
    """One number where all elements have the same."""
    return _number(values[0]) if len(set(values)) == 1 else ", ".join(map(_number, values))


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _table(head: Sequence[str] | None, rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """An HTML table of cells that are HTML already; columns in `numbers` are set flush right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if i in numbers else ''}>{cell}</{tag}>" for i, cell in enumerate(row))

    top = f"<thead><tr>{cells('th', head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


# --- where and when ---


def _footer(demo: Demo) -> str:
    rows = [
        ("written", escape(datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))),
        ("machine", escape(machine())),
        ("code revision", f"<code>{escape(code_revision())}</code>"),
        ("packages", escape(packages())),
        ("again", f"<code>make demo ARGS=\"--seed {demo.contract.provenance.seed} "
                  f"--robot-seed {demo.robot.get('seed', 0)}\"</code>"),
    ]  # fmt: skip
    return f"<footer>{_table(None, rows)}</footer>"


def machine() -> str:
    """Processor, cores, memory and operating system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"] if platform.system() == "Linux" else platform.platform()
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"
    )


def packages() -> str:
    """Versions of what did the work."""
    found = []
    for name in ("torch", "mujoco", "onnxruntime", "ros-rclpy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # a distribution's ROS 2 is no package of pip's
            continue
    return ", ".join(found)
