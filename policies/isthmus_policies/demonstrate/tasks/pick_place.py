"""How pick and place is demonstrated, at the desk of the model or at desks that look different."""

from __future__ import annotations

from isthmus_datasets.recording.operator import Driver
from isthmus_datasets.teleop.operators.teleop_controller import TeleopController
from isthmus_datasets.teleop.stand import Stand
from isthmus_policies.demonstrate.demonstration import Demonstration, ShownRobot
from isthmus_policies.demonstrate.views import Placements, RandomView, View, model_view
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.env import Env


def desk_view(env: Env, placed: Placements | None = None) -> View:
    """What the cameras of the scene and at the wrist see. Where the task varies how desks look, cameras differ from
    episode to episode too. Raises CalibrationError for a placed camera that is not there."""
    view = model_view(env, placed)
    return RandomView(env, view) if env.task.config.visuals else view


# What follows needs inverse kinematics, which is imported when it is asked for: not everybody has installed it.
def _script(noise: float, skill: float) -> Driver:
    try:
        from isthmus_policies.demonstrate.tasks.pick_place_script import PickPlaceScript
    except ModuleNotFoundError as error:
        raise UnsupportedError(f'pick_place needs {error.name}: pip install "isthmus[teleop]"') from error
    return PickPlaceScript(noise=noise, skill=skill)


def _guide(robot: ShownRobot, rate_hz: int) -> TeleopController:
    """The person stands behind the arm and looks along it."""
    from isthmus_policies.demonstrate.tasks.pick_place_script import arm_guide

    return arm_guide(robot.features)


DEMONSTRATION = Demonstration(
    words="put the cube into the zone",
    script=_script,
    noise=0.005,
    cameras=desk_view,
    view=Stand(eye=(-0.32, -0.34, 0.46), look_at=(0.17, 0.0, 0.06), fov_rad=0.75, target_m=0.12),
    guide=_guide,
    keys={
        "Mouse": "drag arrows and arcs", "W A S D": "or arrows: away, left, towards, right", "E Q": "up, down",
        "U O": "roll", "I K": "tip", "J L": "turn", "V C": "open, close",
    },
    gripper=True,
)  # fmt: skip
