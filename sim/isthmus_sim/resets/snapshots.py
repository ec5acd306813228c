"""Snapshots of worlds: all that their future depends on, but for messages and commands on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from isthmus_sim.resets.starts import Snapshot
from isthmus_sim.state_dicts import joined, part

if TYPE_CHECKING:
    from isthmus_sim.engine import Engine
    from isthmus_sim.env import Env


def take(env: Env, worlds: Tensor) -> Snapshot:
    """What worlds (k,) are in, k rows each: "engine.NAME" and "params.NAME" of the engine, "memory.NAME", "goal.NAME"
    and "command.NAME" (what was sent last) of the Env, and "episode_step".

    Readings are none of it: who begins here reads its sensors as at any start of an episode. Needs an engine with
    snapshots.
    """
    engine = env.engine
    parts = joined(
        engine=engine.snapshot(), params=engine.params, memory=env.memory, goal=env.goal, command=env.command
    )
    return {name: value[worlds].clone() for name, value in (parts | {"episode_step": env.episode_step}).items()}


def restore(engine: Engine, worlds: Tensor, snapshot: Snapshot) -> None:
    """Put worlds (k,) of the engine into k rows of snapshots; the others stay as they are."""
    whole = {name: value.clone() for name, value in engine.state_dict().items()}
    params = {name: value for name, value in snapshot.items() if name.startswith("params.")}
    for name, value in (part(snapshot, "engine") | params).items():
        whole[name][worlds] = value.to(whole[name])
    engine.load_state_dict(whole)
