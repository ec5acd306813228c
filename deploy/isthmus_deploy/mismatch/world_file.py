"""A learnt world as a file beside the policy's."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.world import World

VERSION = 3
_ARRAYS = ("coefficients", "usual", "noise", "spread", "posture", "level")


class WorldFileError(ValueError):
    """A file holds no world, or that of another robot; the message says what to do."""


def beside(policy: Path) -> Path:
    """Where the world of a policy is looked for unless something else is said."""
    return policy.with_suffix(".world.npz")


def write_world(world: World, contract: Contract, path: Path) -> None:
    """Write a world beside the name, then under it."""
    facts = {
        "version": VERSION, "interface": contract.interface().to_json(), "lag_s": world.lag_s, "upright": world.upright,
        "allowance": dict(world.allowance),
    }  # fmt: skip
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **{name: getattr(world, name) for name in _ARRAYS})
    part.replace(path)


def read_world(path: Path, contract: Contract) -> World:
    """Read the world of this contract's robot.

    Raises:
        WorldFileError: the file cannot be read, or is of another robot.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            arrays = {name: stored[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WorldFileError(f"{path}: is no world that isthmus-mismatch --learn has written: {error}") from error
    if facts["version"] != VERSION or facts["interface"] != contract.interface().to_json():
        raise WorldFileError(f"{path}: was learnt for another robot than {contract.robot}: learn it anew with --learn")
    return World(lag_s=facts["lag_s"], upright=facts["upright"], allowance=facts["allowance"], **arrays)
