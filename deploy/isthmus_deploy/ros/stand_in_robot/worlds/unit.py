"""One unit of a robot: its physical parameters, drawn within the bounds of the description, and its model."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_sim.actuators import PDMotors
from isthmus_sim.engines.agreement import check_agreement
from isthmus_sim.engines.mujoco_model import ITERATIONS, scene_spec
from isthmus_sim.scene import Scene

Values = Mapping[str, Array]
"""Parameters by name, each in its order and unit."""


def draw_unit(scene: Scene, random: np.random.Generator) -> dict[str, Array]:
    """Parameters of a unit, each element evenly between what is found among real ones."""
    return {p.name: random.uniform(p.minimum, p.maximum) for p in scene.parameters}


def compile_unit(scene: Scene, values: Values) -> mujoco.MjModel:
    """The model of a unit, with all that is seen: a floor may be among it.

    Raises:
        ValueError: the model does not compile, or contradicts the description.
    """
    spec = scene_spec(scene, looks=True)
    for actuator in scene.robot.actuators:
        if isinstance(actuator, PDMotors):
            _give_friction(spec, actuator)
    # They cost software rendering most, and are off where policies learn.
    spec.visual.quality.shadowsize = spec.visual.quality.offsamples = 0
    model = spec.compile()
    check_agreement(scene, model)
    for variation in scene.all_variations:
        given = {parameter.name: values[parameter.name][None] for parameter in variation.parameters}
        for name, rows in variation.fields(model, given).items():
            live = getattr(model, name)
            live[:] = rows[0].reshape(live.shape)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def _give_friction(spec: mujoco.MjSpec, actuator: PDMotors) -> None:
    """Dry friction is MuJoCo's own here, which holds a joint still; the engines of training have a smooth formula."""
    for name, motor in actuator.motors.items():
        spec.joint(name).frictionloss = motor.friction
    spec.option.iterations = max(spec.option.iterations, ITERATIONS)
    spec.option.ls_iterations = max(spec.option.ls_iterations, ITERATIONS)
