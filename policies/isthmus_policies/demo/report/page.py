"""The page: everything it shows is in it."""

from __future__ import annotations

from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from isthmus_policies.demo.report.contract import contract
from isthmus_policies.demo.report.headlines import facts
from isthmus_policies.demo.report.html import fact, table
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.demo.report.machine import machine, packages
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.files import code_revision, write_atomically

REPORT = "report.html"


def write_report(demo: Demo, kind: DemoKind) -> Path:
    """Write the page into the demo's folder; returns its path. Raises OSError."""
    path = demo.folder / REPORT
    write_atomically(path, page(demo, kind).encode())
    return path


def page(demo: Demo, kind: DemoKind) -> str:
    """The whole page."""
    css = files("isthmus_policies.demo.report").joinpath("report.css").read_text()
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
{_header(demo, kind)}
<div class="facts">{"".join(fact(headline) for headline in facts(demo, kind))}</div>
{"".join(part(demo) for part in (*kind.sections, contract))}
{_footer(demo, kind)}
</main>
</body>
</html>
"""


def _header(demo: Demo, kind: DemoKind) -> str:
    if demo.success:
        verdict = f'<span class="verdict good">✓ The {kind.mission} succeeded</span>'
    else:
        causes = escape("; ".join(demo.facts["failures"]))
        verdict = f'<span class="verdict bad">✗ The {kind.mission} failed: {causes}</span>'
    return f"""<header>
<div class="brand">Isthmus</div>
<h1>From simulation to a ROS 2 robot, in one graph</h1>
<p>{kind.lead.format(robot=escape(demo.contract.robot))}</p>
{verdict}
</header>"""


def _footer(demo: Demo, kind: DemoKind) -> str:
    again = (
        f'make demo TASK={escape(demo.task)} ARGS="--seed {demo.contract.provenance.seed} '
        f'--robot-seed {demo.robot.get("seed", 0)}{escape(kind.making.again(demo))}"'
    )
    rows = [
        ("written", escape(datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))),
        ("machine", escape(machine())),
        ("code revision", f"<code>{escape(code_revision())}</code>"),
        ("packages", escape(packages())),
        ("again", f"<code>{again}</code>"),
    ]
    return f"<footer>{table(None, rows)}</footer>"
