"""Room for contacts and constraints in MuJoCo Warp, whose buffers have a size of their own, and what happens when they
are full."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import mujoco_warp as mjw
import numpy as np
from torch import Tensor

_FULL = {
    int(mjw.OverflowType.NEFC): ("constraint rows of a world", "njmax"),
    int(mjw.OverflowType.BROADPHASE): ("pairs of bodies close to each other", "nconmax"),
    int(mjw.OverflowType.NARROWPHASE): ("contacts", "nconmax"),
    int(mjw.OverflowType.CCD): ("contacts", "nconmax"),
}
"""Overflows that leave contacts out: what there was too much of, and the option that makes room."""
_CONTACTS_LOST = sum(_FULL)


class BufferOverflowError(RuntimeError):
    """A buffer of the engine was too small and contacts were left out; the message says which option enlarges it."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a world can need at most, of pairs of geoms close to each other, contacts and rows of constraints."""

    pairs: int
    contacts: int
    rows: int

    @classmethod
    def of(cls, model: mujoco.MjModel) -> Room:
        """That of a robot whose geoms touch the ground alone, with up to four contacts each."""
        pairs = int(np.count_nonzero(model.geom_contype | model.geom_conaffinity)) - 1
        contacts = 4 * pairs
        joints = int(np.count_nonzero(model.dof_frictionloss)) + int(np.count_nonzero(model.jnt_limited))
        per_contact = max(1, 2 * (int(model.geom_condim.max()) - 1))
        return cls(pairs=pairs, contacts=contacts, rows=joints + contacts * per_contact)


def refuse_overflow(overflow: Tensor, data: Any) -> None:
    """Raise BufferOverflowError where `overflow`, the flags of Warp's `data`, says that contacts were left out."""
    if not (overflow & _CONTACTS_LOST).any():
        return
    flag = next(flag for flag in _FULL if (overflow & flag).any())
    overflow.zero_()
    what, option = _FULL[flag]
    places = f"njmax = {data.njmax}" if option == "njmax" else f"nconmax * num_envs = {data.naconmax}"
    raise BufferOverflowError(
        f"more {what} than the buffer holds ({places}), and some were left out: "
        f"make the engine with a larger {option}, WarpEngine(..., {option}=...)"
    )
