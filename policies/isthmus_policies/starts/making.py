"""What a run's configuration says of starts and levels, made."""

from __future__ import annotations

from isthmus_policies.starts.config import LevelsConfig, StartsConfig
from isthmus_policies.starts.files import read_snapshots
from isthmus_sim.engine import Engine, UnsupportedError
from isthmus_sim.resets.archive import Archive
from isthmus_sim.resets.levels.alp_gmm import AlpGmm
from isthmus_sim.resets.levels.prioritised import Prioritised
from isthmus_sim.resets.levels.sampler import LevelSampler
from isthmus_sim.resets.starts import Starts
from isthmus_sim.resets.stored import Stored
from isthmus_sim.task import Task


def make_starts(config: StartsConfig, task: Task, engine: Engine, engine_name: str) -> Starts:
    """The strategy as configured.

    Raises:
        UnsupportedError: it begins in snapshots, and the engine has none.
        ValueError, OSError: as `read_snapshots`; an archive whose cells are not said, or of what the scene has not.
    """
    if config.snapshots is None and not config.archive:
        return Starts()
    if "snapshots" not in engine.capabilities:
        raise UnsupportedError(
            f"the engine {engine_name!r} has no snapshots, so no episode can begin in one: leave out --starts, or take "
            "--engine mujoco"
        )
    if config.snapshots is not None:
        return Stored(read_snapshots(config.snapshots, task, engine_name), config.share, config.fades_after)
    cells, known = dict(config.cells or task.cells), [quantity.name for quantity in task.scene.quantities]
    if not cells or not cells.keys() <= set(known):
        unknown = ", ".join(cells.keys() - set(known)) or "nothing"
        raise ValueError(
            f"the archive's cells are made of {unknown} of the task {task.name!r}: name quantities by --starts.cells; "
            f"there are: {', '.join(known)}"
        )
    return Archive(cells, config.share)


def make_levels(config: LevelsConfig, task: Task) -> LevelSampler:
    """The sampler as configured. Raises ValueError for one that learns, and a task that says nothing of levels."""
    if config.sampler == "uniform":
        return LevelSampler()
    if not task.graded:
        raise ValueError(
            f"the task {task.name!r} does not declare, as it is configured, what makes it hard (graded): there are no "
            f"levels for --levels.sampler {config.sampler}"
        )
    if config.sampler == "alp-gmm":
        return AlpGmm(config.random_share, config.window)
    return Prioritised(config.random_share)
