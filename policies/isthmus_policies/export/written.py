"""How every export ends: the graph does what the policy does, and the file is written; or nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus_deploy.policy.policy_file import TOLERANCE
from isthmus_policies.evaluation.evaluate import Evaluation
from isthmus_policies.files import code_revision, write_atomically
from isthmus_sim.registry import Registry

POLICY_FILE = "policy.onnx"
EVALUATION_SEED = 10_000


class ExportError(RuntimeError):
    """The graph does not do what the trained policy does. Nothing was written."""


def check_error(error: float) -> None:
    """Raise ExportError where graph and policy differ by more than the tolerance, or by what is no number."""
    if not error <= TOLERANCE:
        raise ExportError(
            f"graph and policy differ by {error:.2g} of the command's range, more than {TOLERANCE:g}: nothing written"
        )


def write_policy(path: Path, model: bytes, score: Evaluation, replayed: str, error: float) -> None:
    """Write a policy file, and say what is in it. Raises OSError."""
    write_atomically(path, model)
    print(
        f"{path}  {len(model) / 1024:.0f} KiB\n"
        f"  replayed {replayed}: worst error {error:.1e} of the range\n"
        f"  success ({score.success_is}) {score.success[1]:.1%} of {score.episodes} episodes"
        f"   revision {code_revision()}"
    )


def package_of(registry: Registry[Any], name: str) -> tuple[str, str]:
    """What is registered, and by whom: ("policy mlp", "isthmus 0.1.0")."""
    origin = registry.origin(name)
    return f"{registry.kind} {name}", f"{origin.package} {origin.version}"
