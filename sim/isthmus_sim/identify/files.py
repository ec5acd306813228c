"""What was identified, on disk."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any


def write(path: Path, found: Any) -> None:
    """Write a dataclass as JSON beside the name, then under it: a reader finds all of it or none."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)
