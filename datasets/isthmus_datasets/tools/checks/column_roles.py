"""Whether columns are called what they are: learners choose by names what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus_datasets.format.roles import better_names
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import Finding


def roles(scan: DatasetScan) -> Iterator[Finding]:
    """Nothing that only a simulator knows is called an observation, and nothing but the action begins with action."""
    for name, better in better_names(scan.info.features).items():
        action = name.startswith("action")
        problem = "it is not the action, and" if action else "by its name only a simulator knows it, and"
        yield Finding(
            severity="warning",
            check="roles",
            message=f"{name}: {problem} LeRobot's policies take it for {'output' if action else 'input'}",
            fix=f"call it {better}" + ("" if action else ", unless the robot itself can tell it"),
        )
