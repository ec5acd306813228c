"""Parts of the page that reports of several kinds have: video, learning, timing."""

from __future__ import annotations

import base64
import os

import numpy as np

from isthmus_deploy.ros import realtime
from isthmus_policies.demo.report import plots
from isthmus_policies.demo.report.body import body
from isthmus_policies.demo.report.html import section, table
from isthmus_policies.demo.report.plots import Vector
from isthmus_policies.demo.report.record import Demo


def video(demo: Demo, *, title: str, text: str, body_title: str, keys: str) -> str:
    """The video, beside it what the stand-in robot's seed drew, where that is known, and the `keys` to it."""
    film = "<p>No video: this machine has no off-screen renderer.</p>"
    if demo.video.is_file():
        data = base64.b64encode(demo.video.read_bytes()).decode()
        film = f'<video controls muted loop autoplay playsinline src="data:video/mp4;base64,{data}"></video>'
    known = f"<h3>{body_title}</h3>{body(demo)}" if demo.robot else ""
    return section(title, text, f'<div class="beside">{film}<div>{known}<p class="keys">{keys}</p></div></div>')


def learning(demo: Demo, text: str, *, staged: bool) -> str:
    """The learning curves; `staged`: the reward's weights grow, and the plot marks until when."""
    if not demo.metrics:
        return ""
    text = "The thin line has one point for each roll-out of all worlds, the thick one is a running mean. " + text
    return section("Learning", text, plots.learning_curves(demo.metrics, demo.contract.control_period_s, staged=staged))


def timing(demo: Demo) -> str:
    """How steady the control loop was, and how fast a command followed its reading."""
    last = demo.contract.commands[-1].name  # the node sends them in this order: with this one its answer is complete
    sent = demo.arrays[f"command_time/{last}"]
    latency, period = observed_timing(demo.arrays["time"], sent)
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
    return section("Control-loop timing", text, plot, table(head, rows, numbers=(1, 2, 3, 4, 5)))


def observed_timing(truth: Vector, commands: Vector) -> tuple[Vector, Vector]:
    """How long it takes from each true state to the first command after it, and from command to command, s.

    The robot publishes its true state just before its readings.

    Args:
        truth: (n,) times of the true states in a mission's record, s.
        commands: (m,) those of the commands.
    """
    before = np.searchsorted(truth, commands, side="right") - 1
    answered, first = np.unique(before, return_index=True)
    known = answered >= 0
    return commands[first[known]] - truth[answered[known]], np.diff(commands)
