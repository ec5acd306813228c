"""What a check has to say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_ADVICE = r": copy the dataset again(, or delete the episode)?$"  # for who wants all of it; here it stands in `fix`
COPY_AGAIN = "copy the file again from where it was recorded, or delete the episode"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One defect.

    Args:
        severity: error: reading or training on it gives wrong data; warning: looks wrong, a person should look;
            note: good to know.
        check: Name of the check, as in `CHECKS`.
        episode: Its index; None where it concerns the dataset.
        message: What was seen, where, with numbers.
        fix: What to do about it.
    """

    severity: Severity
    check: str
    episode: int | None = None
    message: str
    fix: str


class Problems:
    """Findings of the check `files`, which are made on reading.

    Args:
        root: The dataset's folder; its name is left out of messages.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[Finding] = []

    def add(self, error: object, *episodes: int, fix: str = COPY_AGAIN) -> None:
        """Each of `episodes` suffers from it; none: the dataset."""
        message = re.sub(_ADVICE, "", str(error).replace(f"{self.root}/", ""))
        for episode in episodes or (None,):
            self.findings.append(Finding(severity="error", check="files", episode=episode, message=message, fix=fix))
