"""Measures that a benchmark keeps, so that many seeds may take more than one sitting."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import FIGURES, BenchOptions, Row

from isthmus_policies.files import code_revision, write_json


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Measures by name, in a folder, and the revisions that they are of."""

    folder: Path
    options: BenchOptions
    revisions: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, benchmark: str, options: BenchOptions) -> Kept:
        """What this benchmark keeps below runs/; a quick run keeps its measures apart."""
        folder = (FIGURES / (f"{benchmark}-quick" if options.quick else benchmark)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder=folder, options=options)

    def once(self, name: str, by: tuple[str, ...], measure: Callable[[], Any], limit: str | None = None) -> Any:
        """What `measure` gives, unless it was measured before with the same options `by`. Of steps until something
        happens, `limit` is the option that says how many there may be: None within more of them is None within fewer,
        and what happened within fewer happens within more."""
        path = self.folder / f"{name}.json"
        asked = {each: getattr(self.options, each) for each in (*by, *([limit] if limit else []))}
        asked = json.loads(json.dumps(asked))  # as it will be read
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            before, found = kept["options"], kept["found"]
            enough = not limit or (before[limit] >= asked[limit] if found is None else found <= asked[limit])
            if enough and all(before.get(each) == asked[each] for each in by):
                self.revisions.add(kept["code_revision"])
                return kept["found"]
        found = measure()
        print(f"{name}: {found}", flush=True)
        write_json(path, {"code_revision": code_revision(), "options": asked, "found": found})
        return found

    def told(self, rows: list[Row]) -> list[Row]:
        """The rows, with the revisions that they are of, where these are others."""
        others = ", ".join(sorted(self.revisions - {code_revision()}))
        note = f"measured at {others}" if others else None
        return [replace(row, peer="; ".join(filter(None, (row.peer, note))) or None) for row in rows]
