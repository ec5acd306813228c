"""`python -m isthmus_policies.starts.record RUN FILE`: states that a trained policy goes through, for others to begin
in."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from isthmus_policies.networks.policy import restart
from isthmus_policies.starts.files import write_snapshots
from isthmus_policies.training.run import load_run
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.resets.snapshots import take
from isthmus_sim.threads import one_torch_thread, use_thread_budget

PROGRAM = "python -m isthmus_policies.starts.record"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let a trained policy act in many worlds side by side and keep what these were in, from its starts to its ends."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the policy's run."""
    file: Annotated[Path, tyro.conf.Positional]
    """Where the snapshots go, a safetensors file."""
    snapshots: int = 2000
    """How many, at least."""
    every: int = 5
    """Control steps from one to the next."""
    worlds: int = 32
    noise: float = 0.0
    """Standard deviation of what is added to the actions, which are from -1 to 1."""
    seed: int = 41_000
    """Seed of the worlds."""

    def __post_init__(self) -> None:
        if min(self.snapshots, self.every, self.worlds) < 1 or self.noise < 0.0:
            raise ValueError("snapshots, every and worlds must be at least 1 and noise not negative")


@torch.no_grad()
def record(options: Options) -> str:
    """Record; a line that says what there is now. Raises ValueError and OSError."""
    run = load_run(options.run)
    env = Env(run.task, make_engine(run.task.scene, options.worlds, run.engine), options.seed)
    policy = run.policy.to(env.device)
    everyone, count = torch.arange(options.worlds, device=env.device), -(-options.snapshots // options.worlds)
    seen, memory = env.reset(), policy.initial_memory(options.worlds, env.device)
    kept = []
    for step in range(count * options.every):
        if step % options.every == 0:
            kept.append(take(env, everyone))
        with one_torch_thread():
            action, memory = policy.act(seen, memory, policy.draw_noise(options.worlds, env.generator))
            noise = torch.empty_like(action).normal_(generator=env.generator)
            done = env.step(action + options.noise * noise)
        restart(memory, done.ended)
        seen = done.observations
    env.close()
    rows = write_snapshots(options.file, kept, run.task, run.engine)
    return f"{options.file}: {rows} snapshots of {run.task.name} in the engine {run.engine}"


def main() -> None:
    """Entry point."""
    try:
        options = tyro.cli(Options, prog=PROGRAM)
        use_thread_budget()
        Console().print(record(options), highlight=False)
    except (ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
