"""Worlds that diverged while training: each is written to a file of its own and can be stepped again from it.

`python -m isthmus_policies.training.diverged FILE` does so and says what became of the world.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from isthmus_policies.training.checkpoint import load_checkpoint, save_checkpoint
from isthmus_policies.training.config import config_from_json
from isthmus_policies.training.worlds import make_engine, make_task, require_same_robot
from isthmus_sim.engine import State
from isthmus_sim.env import Divergence
from isthmus_sim.state_dicts import joined, part

FORMAT = "isthmus.diverged.2"
FOLDER = "diverged"
MOST_FILES = 20
"""Most states kept in a run's folder: the first ones tell as much as thousands."""


class DivergedError(RuntimeError):
    """More worlds diverged than a training run bears; the message says how many and where they were written."""


def dump(folder: Path, divergences: list[Divergence], facts: dict[str, Any], first_world: int = 0) -> Path:
    """Write every world to a file in `folder`, up to `MOST_FILES` there.

    Args:
        folder: Made if it is not there.
        divergences: Divergences of one iteration.
        facts: For `replay`: the run's "config" and the "iteration".
        first_world: How many worlds the processes before this one have.

    Returns:
        The last file.

    Raises:
        OSError: The disk is full, say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    worlds = [(divergence, row) for divergence in divergences for row in range(len(divergence.worlds))]
    written = sorted(folder.glob("*.safetensors"))
    for divergence, row in worlds[: max(0, MOST_FILES - len(written))]:
        world, episode_step = first_world + int(divergence.worlds[row]), int(divergence.episode_step[row])
        parts = {"engine": divergence.engine, "commands": divergence.commands}
        tensors = {name: value[[row]] for name, value in joined(**parts).items()}
        path = folder / f"iteration{facts['iteration']:06d}-world{world:05d}-step{episode_step:05d}.safetensors"
        save_checkpoint(
            path,
            tensors,
            facts | {"world": world, "episode_step": episode_step},
            FORMAT,
        )
        written.append(path)
    return written[-1]


def replay(path: Path) -> tuple[bool, State]:
    """Do the step again, in one world: whether it diverges, and the state it leads to. Raises CheckpointError,
    FileNotFoundError."""
    tensors, facts = load_checkpoint(path, FORMAT)
    config = config_from_json(facts["config"])
    task = make_task(config)
    require_same_robot(task.robot, facts, path)
    engine = make_engine(config, task, 1)
    tensors = {name: value.to(engine.device) for name, value in tensors.items()}
    engine.load_state_dict(part(tensors, "engine"))
    state = engine.advance(part(tensors, "commands"))
    return bool(engine.failed()), state


def main() -> None:
    """`python -m isthmus_policies.training.diverged FILE`."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m isthmus_policies.training.diverged FILE")
    try:
        failed, state = replay(Path(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.exit(f"diverged: {error}")
    print("diverges again" if failed else "does not diverge")
    for name, value in state.items():
        finite = value[torch.isfinite(value)].abs()
        largest = f"{float(finite.max()):.3g}" if len(finite) else "none"
        print(f"  {name}: {value.numel() - len(finite)} not a number, the largest other {largest}")


if __name__ == "__main__":
    main()
