"""The kinds of demonstrations there are."""

from __future__ import annotations

from isthmus_policies.demo.report.flight import FLIGHT
from isthmus_policies.demo.report.kind import Kind
from isthmus_policies.demo.report.walk import WALK

KINDS: dict[str, Kind] = {kind.stand_in: kind for kind in (FLIGHT, WALK)}
"""By what `make demo` calls them; the first is the default."""
