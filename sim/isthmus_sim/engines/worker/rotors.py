"""Rotors of the base, as workers have them: what a newton of each does to it, and how fast they follow."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_sim.actuator_formulas import bound_to, lag_share
from isthmus_sim.actuators import Rotors
from isthmus_sim.engine import Params, UnsupportedError
from isthmus_sim.worker.rotations import cross, rotate

FIELDS = ("actuator_gear", "site_pos")
"""Model fields that may differ from world to world."""
_lag_share = bound_to(lag_share, expm1=torch.expm1)


class BaseRotors:
    """`Rotors` whose motors act on sites of the base. Raises UnsupportedError for others."""

    def __init__(self, rotors: Rotors, model: mujoco.MjModel, base: int) -> None:
        self.command, self._timestep = rotors.command, float(model.opt.timestep)
        self._motors = [int(model.actuator(name).id) for name in rotors.actuators]
        self._sites = model.actuator_trnid[self._motors, 0].tolist()
        on_sites = model.actuator_trntype[self._motors] == mujoco.mjtTrn.mjTRN_SITE
        if not on_sites.all() or (model.site_bodyid[self._sites] != base).any():
            raise UnsupportedError(
                f"workers simulate rotors on sites of the base, and some of {', '.join(rotors.actuators)} are not; "
                "use 'mujoco'"
            )
        self._turns = model.site_quat[self._sites].copy()

    def allocation(self, fields: dict[str, NDArray[Any]]) -> Tensor:
        """(k, r, 6) of k worlds' `FIELDS`: force N on the base at its origin and torque N·m, in its frame, of a newton
        of each rotor."""
        gear, place = fields["actuator_gear"][:, self._motors], fields["site_pos"][:, self._sites]
        force, torque = rotate(self._turns, gear[..., :3]), rotate(self._turns, gear[..., 3:])
        return torch.from_numpy(np.concatenate((force, cross(place, force) + torque), axis=-1)).float()

    def derive(self, params: Params, arrays: dict[str, Tensor]) -> None:
        """Take over parameters that have changed."""
        for name, way in (("rising", "up"), ("falling", "down")):
            arrays[name].copy_(_lag_share(params[f"time_constant_{way}"].double(), self._timestep))
        arrays["thrust"].copy_(params["thrust_coefficient"])

    def begin(self, command: Tensor, params: Params, arrays: dict[str, Tensor]) -> None:
        """The set-points of the next control period: as much of the command (n, r) rad/s as the battery gives."""
        arrays["set_point"].copy_(command * params["battery"])
