"""Worlds: engines, robots, signals and tasks."""

from isthmus_sim.offscreen import select_backend

# Here, because it must happen before the first `import mujoco` of any module in this package.
select_backend()
