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

FIELDS = ("body_subtreemass", "body_invweight0", "dof_invweight0")
"""Model fields that are derived."""


class BaseLoad:
    """The model at rest in its reference pose: M (nv, nv) without the base's share, and every body's Jacobian.

    The body `base` has a free joint. Constants of tendons, cameras and muscles are not derived.
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
        self._mass, inertia, self._centre = (
            tensor(field[base : base + 1]) for field in (model.body_mass, model.body_inertia, model.body_ipos)
        )
        self._subtree_mass = tensor(model.body_subtreemass)
        self._others = tensor(matrix) - self._share(self._jacobian[base], self._mass, inertia)[0]
        self._triples = _triples(model)

    def _share(self, jacobian: Tensor, mass: Tensor, inertia: Tensor) -> Tensor:
        """(k, nv, nv): what the base adds to M, of its Jacobian, mass (k,) and principal inertia (k, 3)."""
        linear, angular = jacobian[..., :3, :], jacobian[..., 3:, :]
        about_centre = (self._axes * inertia.unsqueeze(1)) @ self._axes.T
        return mass.reshape(-1, 1, 1) * linear.mT @ linear + angular.mT @ about_centre @ angular

    def derive(self, mass: Tensor, inertia: Tensor, centre: Tensor) -> dict[str, Tensor]:
        """`FIELDS` of k worlds, for bases of mass (k,) kg, principal inertia (k, 3) kg·m² and centre of mass (k, 3) m
        in the base's frame; float64 all."""
        jacobian = self._jacobian.repeat(len(mass), 1, 1, 1)
        angular = jacobian[:, self._base, 3:]
        offset = ((centre - self._centre) @ self._frame.T).unsqueeze(-1)
        # A point further out by `offset` moves by ω x offset more.
        jacobian[:, self._base, :3] += torch.linalg.cross(angular, offset.expand_as(angular), dim=1)
        matrix = self._others + self._share(jacobian[:, self._base], mass, inertia)
        inverse = torch.linalg.inv_ex(matrix).inverse  # unlike `inv` it does not wait for the GPU to look for errors
        bodies = ((jacobian.flatten(1, 2) @ inverse) * jacobian.flatten(1, 2)).sum(-1)
        dofs = inverse.diagonal(dim1=-2, dim2=-1).clone()
        for triple in self._triples:
            dofs[:, triple] = dofs[:, triple].mean(-1, keepdim=True)
        subtree = self._subtree_mass.repeat(len(mass), 1)
        subtree[:, [0, self._base]] += (mass - self._mass).unsqueeze(-1)
        return {
            "body_subtreemass": subtree,
            "body_invweight0": bodies.unflatten(1, (-1, 2, 3)).mean(-1),
            "dof_invweight0": dofs,
        }


def _triples(model: mujoco.MjModel) -> list[slice]:
    """Degrees of freedom that share one weight, three by three: where free joints go, and how they and balls turn."""
    starts = {mujoco.mjtJoint.mjJNT_FREE: (0, 3), mujoco.mjtJoint.mjJNT_BALL: (0,)}
    firsts = [
        int(first) + start
        for kind, first in zip(model.jnt_type, model.jnt_dofadr, strict=True)
        for start in starts.get(mujoco.mjtJoint(kind), ())
    ]
    return [slice(first, first + 3) for first in firsts]
