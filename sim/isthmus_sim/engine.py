"""The engine interface: N parallel worlds of one robot in a scene."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import torch
from torch import Tensor

AnyState = TypeVar("AnyState", bound="State")


@dataclass(kw_only=True)
class State:
    """State of n worlds, float32, true (no noise, no delay).

    position (n, 3) m, world, origin of the robot's base; orientation (n, 4) wxyz world_from_body; linear_velocity (n,
    3) m/s, world, of that origin; angular_velocity (n, 3) rad/s, body; actuator (n, k): what the actuators remember,
    such as rotor speeds in rad/s.
    """

    position: Tensor
    orientation: Tensor
    linear_velocity: Tensor
    angular_velocity: Tensor
    actuator: Tensor

    def __getitem__(self: AnyState, ids: Tensor) -> AnyState:
        return type(self)(**{f.name: getattr(self, f.name)[ids] for f in fields(self)})


@dataclass(kw_only=True)
class ArticulatedState(State):
    """State of n robots with j joints and f feet, joints and feet in the robot's order, float32.

    joint_position (n, j) rad; joint_velocity (n, j) rad/s; joint_torque (n, j) N·m at the joint; joint_power (n, j) W,
    mechanical; both means over the last control step. foot_position (n, f, 3) m and foot_velocity (n, f, 3) m/s,
    world; foot_force (n, f) N, normal; all three as the last
    physics step found them. An engine's `reset` takes the joints' positions and
    velocities, the rest follows at the next step.
    """

    joint_position: Tensor
    joint_velocity: Tensor
    joint_torque: Tensor
    joint_power: Tensor
    foot_position: Tensor
    foot_velocity: Tensor
    foot_force: Tensor


@dataclass(kw_only=True)
class BlockState(State):
    """State of n robots at tables with a block that slides and turns, float32.

    block_position (n, 2) m, world, of the block's origin; block_angle (n, 1) rad about world z, not wrapped. The block
    is at rest unless it is pushed: it has no velocity to remember.
    """

    block_position: Tensor
    block_angle: Tensor


@dataclass(kw_only=True)
class ArmState(State):
    """State of n arms with j joints at tables with a cube and a zone, float32; the arms' bases are fixed.

    joint_position (n, j) rad; joint_velocity (n, j) rad/s; tip_position (n, 3) m, world, of the tool centre point;
    cube_position (n, 3) m, world; cube_orientation (n, 4) wxyz world_from_cube; cube_velocity (n, 6) m/s, world, then
    rad/s, cube's frame; cube_edge (n, 1) m; zone_position (n, 2) m, world; touching (n, 2) 1 where the fixed and the
    moving jaw touch the cube, else 0. Tip and touch are as the last physics step found them. An engine's `reset` takes
    joints, actuator, cube (but its edge, a parameter) and zone; the rest follows.
    """

    joint_position: Tensor
    joint_velocity: Tensor
    tip_position: Tensor
    cube_position: Tensor
    cube_orientation: Tensor
    cube_velocity: Tensor
    cube_edge: Tensor
    zone_position: Tensor
    touching: Tensor


class UnsupportedError(ValueError):
    """The engine cannot do what was asked; the message lists what it can."""


class Engine(Protocol):
    """N worlds stepped together. What `read` returned is stale after the next `step`, `reset` or `set_params`.

    `capabilities` declares what else works: "wrench" and "params:NAME" for each parameter that `set_params` takes.
    """

    num_envs: int
    device: torch.device
    capabilities: frozenset[str]
    force: Tensor
    torque: Tensor
    params: dict[str, Tensor]
    """What `apply_wrench` and `set_params` last set, for every world: what only simulation knows."""

    def read(self) -> State:
        """The state of all worlds after the last step."""
        ...

    def step(self, command: Tensor) -> None:
        """Advance every world by one control period with `command` (num_envs, k) held, in the robot's command unit."""
        ...

    def reset(self, ids: Tensor, state: State) -> None:
        """Put worlds `ids` (n,) into `state` (n rows). Parameters stay."""
        ...

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        """Set physical parameters of worlds `ids`; constants derived from them follow. Raises `UnsupportedError`."""
        ...

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        """Constant force (num_envs, 3) N, world frame, and torque (num_envs, 3) N·m, body frame, until set again."""
        ...

    def failed(self) -> Tensor:
        """(num_envs,) bool: worlds that diverged in the last step and must be reset; the others went on."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to continue bit for bit with `load_state_dict`: tensors of a row per world."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...

    def close(self) -> None:
        """Release threads and memory."""
        ...


def refuse_unknown_params(capabilities: frozenset[str], params: dict[str, Tensor]) -> None:
    """Raise `UnsupportedError` naming the parameters that an engine with `capabilities` can set."""
    known = sorted(c.removeprefix("params:") for c in capabilities if c.startswith("params:"))
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise UnsupportedError(f"this engine cannot set {', '.join(unknown)}; it can set: {', '.join(known)}")
