"""What MuJoCo derives from masses, for worlds whose base has a mass, inertia and centre of mass of its own.

MuJoCo Warp's `set_const` does this for all worlds in 370 kernels, two thirds of a control step's; but it is needed at
every reset, for the few worlds that are reset. Of the mass matrix M only the base's own share changes.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import torch
from torch import Tensor


class BaseLoad:
    """The model at rest in its reference pose: M (nv, nv) without the base's share, and every body's Jacobian.

    The first joint is free and its body is `base`. Constants of tendons, cameras and muscles are not derived.
    """

    def __init__(self, model: mujoco.MjModel, base: int, device: torch.device) -> None:
        data, self._base = mujoco.MjData(model), base
        mujoco.mj_forward(model, data)
        matrix, jacobian = np.zeros((model.nv, model.nv)), np.zeros((model.nbody, 6, model.nv))
        mujoco.mj_fullM(model, data, matrix)
        for body in range(1, model.nbody):
            mujoco.mj_jacBodyCom(model, data, jacobian[body, :3], jacobian[body, 3:], body)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.tensor(array, device=device)

        self._jacobian = tensor(jacobian)
        self._axes, self._frame = tensor(data.ximat[base].reshape(3, 3)), tensor(data.xmat[base].reshape(3, 3))
        self.mass, self.inertia, self.centre = (
            tensor(field[base : base + 1]) for field in (model.body_mass, model.body_inertia, model.body_ipos)
        )
        self._subtree_mass = tensor(model.body_subtreemass)
        self._others = tensor(matrix) - self._share(self._jacobian[base], self.mass, self.inertia)[0]

    def _share(self, jacobian: Tensor, mass: Tensor, inertia: Tensor) -> Tensor:
        """(k, nv, nv): what the base adds to M, of its Jacobian, mass (k,) and principal inertia (k, 3)."""
        linear, angular = jacobian[..., :3, :], jacobian[..., 3:, :]
        about_centre = (self._axes * inertia.unsqueeze(1)) @ self._axes.T
        return mass.reshape(-1, 1, 1) * linear.mT @ linear + angular.mT @ about_centre @ angular

    def derive(self, mass: Tensor, inertia: Tensor, centre: Tensor) -> dict[str, Tensor]:
        """Derived model fields of k worlds by their names, for bases of mass (k,) kg, principal inertia (k, 3) kg·m²
        and centre of mass (k, 3) m in the base's frame."""
        jacobian = self._jacobian.repeat(len(mass), 1, 1, 1)
        angular = jacobian[:, self._base, 3:]
        offset = ((centre - self.centre) @ self._frame.T).unsqueeze(-1)
        # A point further out by `offset` moves by ω x offset more.
        jacobian[:, self._base, :3] += torch.linalg.cross(angular, offset.expand_as(angular), dim=1)
        matrix = self._others + self._share(jacobian[:, self._base], mass, inertia)
        inverse = torch.linalg.inv_ex(matrix).inverse  # unlike `inv` it does not wait for the GPU to look for errors
        bodies = ((jacobian.flatten(1, 2) @ inverse) * jacobian.flatten(1, 2)).sum(-1)
        dofs = inverse.diagonal(dim1=-2, dim2=-1).clone()
        dofs[:, :6] = dofs[:, :6].unflatten(1, (2, 3)).mean(-1).repeat_interleave(3, dim=1)
        subtree = self._subtree_mass.repeat(len(mass), 1)
        subtree[:, [0, self._base]] += (mass - self.mass).unsqueeze(-1)
        return {
            "body_subtreemass": subtree,
            "body_invweight0": bodies.unflatten(1, (-1, 2, 3)).mean(-1),
            "dof_invweight0": dofs,
        }
