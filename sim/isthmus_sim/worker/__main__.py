"""Started as `python FOLDER NUMBER` by `isthmus_sim.engines.worker`: requests come by standard input, answers go to the
file descriptor NUMBER. What a simulator prints goes to standard output and is not read."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path


def use_this_checkout() -> None:
    """Let `isthmus_sim.worker` be imported, without what the package's own beginning would import, and without the
    packages beside it, which are another interpreter's."""
    package = types.ModuleType("isthmus_sim")
    package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["isthmus_sim"] = package
    sys.path.pop(0)  # this folder


if __name__ == "__main__":
    use_this_checkout()
    from isthmus_sim.worker.serving import serve

    with os.fdopen(0, "rb", buffering=0) as requests, os.fdopen(int(sys.argv[1]), "wb", buffering=0) as answers:
        serve(requests, answers)
