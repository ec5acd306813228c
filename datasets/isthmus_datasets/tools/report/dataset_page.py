"""The page: everything it shows is in it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from isthmus_datasets.tools.checks.show import count, grouped, summary, what, where
from isthmus_datasets.tools.checks.suite import CHECKS, name_of
from isthmus_datasets.tools.report import sections
from isthmus_datasets.tools.report.html import fact, fold, section, table
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import SEVERITIES, Finding


def page(scan: DatasetScan, findings: Sequence[Finding]) -> str:
    """The whole page."""
    css = files("isthmus_datasets.tools.report").joinpath("report.css").read_text()
    name = escape(scan.root.resolve().name)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: dataset report</title>
<style>
{css}</style>
</head>
<body>
<main>
<header>
<div class="brand">Isthmus</div>
<h1>{name}</h1>
<p>{escape(_lead(scan))}</p>
</header>
<div class="facts">{_facts(scan, findings)}</div>
{_findings(findings)}
{"".join(part(scan) for part in sections.ALL)}
<footer>{escape(summary(scan, findings))}</footer>
</main>
</body>
</html>
"""


def _lead(scan: DatasetScan) -> str:
    info = scan.info
    tasks = "; ".join(scan.tasks.words[:3]) if scan.tasks else ""
    more = " …" if scan.tasks and len(scan.tasks.words) > 3 else ""
    robot = f"Robot: {info.robot_type}. " if info.robot_type else ""
    cameras = [name for name, feature in info.features.items() if feature.is_image]
    seen = f" Cameras: {', '.join(cameras)}." if cameras else " No cameras."
    return f"{robot}{info.fps} steps a second.{seen} Task: {tasks}{more}"


def _facts(scan: DatasetScan, findings: Sequence[Finding]) -> str:
    seconds = np.array([episode.row.length for episode in scan.episodes]) / scan.info.fps
    counts = [count(sum(f.severity == severity for f in findings), severity) for severity in SEVERITIES]
    cards = [
        ("Episodes", f"{len(seconds):,}", count(scan.info.total_tasks, "task")),
        ("Recorded", _duration(seconds.sum()), f"{round(seconds.sum() * scan.info.fps):,} steps"),
        ("Findings", str(len(findings)), ", ".join(counts)),
    ]
    if len(seconds):
        span = f"median; {seconds.min():.1f} to {seconds.max():.1f} s"
        cards.insert(2, ("Episode", f"{np.median(seconds):.1f} s", span))
    said = [episode.row.facts["success"] for episode in scan.episodes if "success" in episode.row.facts]
    if said:
        cards.append(("Success", f"{np.mean([bool(each) for each in said]):.0%}", f"of {len(said)} that say it"))
    return "".join(fact(*card) for card in cards + _control(scan))


def _control(scan: DatasetScan) -> list[tuple[str, str, str]]:
    """Who was in control, where the recorder says so: a column of numbers whose meanings info.json has."""
    feature = scan.info.features.get("control")
    names = list((feature.info or {}).get("values", [])) if feature else []
    columns = [values[:, 0] for _, values in scan.of("control")] if names else []
    if not columns:
        return []
    shares = np.bincount(np.concatenate(columns), minlength=len(names)) / sum(map(len, columns))
    said = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=False))
    return [("In control", f"{shares.max():.0%} {names[int(shares[: len(names)].argmax())]}", said)]


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _findings(findings: Sequence[Finding]) -> str:
    rows = [(group[0].severity, group[0].check, where(group), what(group), group[0].fix) for group in grouped(findings)]
    found = table(("", "check", "episode", "what was seen", "what to do"), rows)
    text = f"{len(CHECKS)} checks looked at every row and every frame."
    counts = {name_of(check): sum(f.check == name_of(check) for f in findings) for check in CHECKS}
    checks = [(name_of(c), (c.__doc__ or "").splitlines()[0], str(counts[name_of(c)])) for c in CHECKS]
    listed = fold("What is checked", table(("check", "what should be so", "findings"), checks, numbers=(2,)))
    nothing = '<div class="good">✓ Nothing found</div>'
    return section("Findings", text, found if findings else nothing, listed)
