"""The engine interface: N parallel worlds of a scene in one simulator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = dict[str, "Tensor"]
"""True quantities of n worlds as the scene declares them: name -> (n, *shape) float32, no noise, no delay."""

Params = dict[str, "Tensor"]
"""Physical parameters of n worlds: name -> (n, size) float32."""

Commands = dict[str, "Tensor"]
"""Robot commands of n worlds: name -> (n, size) in the command's unit."""

SPEED_LIMIT = 1e6
"""m/s or rad/s: far beyond any robot; a world past it has diverged."""


class UnsupportedError(ValueError):
    """The engine cannot do what was asked; the message lists what it can."""


@dataclass(frozen=True, kw_only=True)
class Resets:
    """Worlds `ids` (k,) to start anew: in `state`, k rows of any of the scene's settable quantities (the others are as
    the model has them, at rest), and with `params`, k rows of those that change."""

    ids: Tensor
    state: State
    params: Params = field(default_factory=dict)


class Engine(Protocol):
    """N worlds stepped together. What a call returned is stale after the next one.

    `capabilities` declares what works: "params:NAME" for each parameter, "wrench", and "snapshots".
    """

    num_envs: int
    device: torch.device
    capabilities: frozenset[str]
    force: Tensor
    torque: Tensor
    params: Params
    """What `apply_wrench`, resets and `set_params` last set, for every world: what only simulation knows."""

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        """One trip to the simulator. First the worlds to reset are put where they start; then, with commands, every
        world goes on by one control period with them held.

        Returns:
            The state of all worlds now.

        Raises:
            UnsupportedError: a parameter or a quantity that cannot be set.
        """
        ...

    def set_params(self, ids: Tensor, params: Params) -> None:
        """Change parameters of worlds `ids` (k,) while they go on, k rows of those that change; seen from the next
        `advance`. Raises UnsupportedError for one that cannot be set."""
        ...

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        """Constant force (num_envs, 3) N, world frame, and torque (num_envs, 3) N·m, body frame, on the base, until set
        again. Raises UnsupportedError where "wrench" is no capability."""
        ...

    def failed(self) -> Tensor:
        """(num_envs,) bool: worlds that diverged in the last step and must be reset; the others went on."""
        ...

    def snapshot(self) -> dict[str, Tensor]:
        """What the next step depends on but parameters, a row per world: a copy. Needs the capability "snapshots"."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit with `load_state_dict`, a row per world. Needs "snapshots"."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` gave. Needs the capability "snapshots"."""
        ...

    def close(self) -> None:
        """Release threads and memory."""
        ...


def refuse_unknown_params(capabilities: frozenset[str], params: Iterable[str]) -> None:
    """Raise `UnsupportedError` naming the parameters that an engine with `capabilities` can set."""
    known = sorted(c.removeprefix("params:") for c in capabilities if c.startswith("params:"))
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise UnsupportedError(f"this engine cannot set {', '.join(unknown)}; it can set: {', '.join(known) or 'none'}")


def refuse_unknown_state(known: Iterable[str], state: Iterable[str]) -> None:
    """Raise `UnsupportedError` naming the `known` quantities that a reset can set."""
    known = list(known)
    unknown = sorted(set(state) - set(known))
    if unknown:
        raise UnsupportedError(f"a reset cannot set {', '.join(unknown)}; it can set: {', '.join(known) or 'nothing'}")


def substeps(control_period_s: float, timestep: float) -> int:
    """Physics steps of `timestep` s in a control period. Raises ValueError where that is no whole number."""
    count = round(control_period_s / timestep)
    if count < 1 or abs(count * timestep - control_period_s) > 1e-9:
        raise ValueError(f"time step {timestep} s does not divide the control period {control_period_s} s")
    return count
