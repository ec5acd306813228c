"""Worlds: engines, robots, signals and tasks."""

from isthmus_sim.rendering.offscreen import select_backend
from isthmus_sim.threads import settle_waiting

# Here, because both must happen before any module of this package imports what reads them: `mujoco` and `torch`.
select_backend()
settle_waiting()
