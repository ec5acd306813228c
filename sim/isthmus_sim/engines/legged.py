"""What the engines of legged robots share: the model with its ground and sensors, the parameters, where things are."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable

import mujoco
import torch
from torch import Tensor

from isthmus_sim.description import RobotSpec
from isthmus_sim.terrain import Terrain

GROUND = "ground"
"""Name of the geom that robots stand on."""
PARAMETERS = ("stiffness", "damping", "strength", "command_delay", "friction", "payload", "com_offset")
"""Names of `default_parameters`."""
ITERATIONS = 50
"""Of the contact solver at most; it ends by itself, and cut short it has been seen to throw a foot."""
FOOT_SENSORS = {
    "position": mujoco.mjtSensor.mjSENS_FRAMEPOS,
    "velocity": mujoco.mjtSensor.mjSENS_FRAMELINVEL,
    "force": mujoco.mjtSensor.mjSENS_TOUCH,
}


def prepared(
    model: mujoco.MjSpec, joints: Iterable[str], feet: tuple[str, ...], terrain: Terrain | None
) -> mujoco.MjSpec:
    """A copy of the robot's model with the feet's sensors, without the joints' dry friction, which the drives have
    here, and, where there is one, with the terrain for ground."""
    model = model.copy()
    for joint in joints:
        model.joint(joint).frictionloss = 0.0
    model.option.iterations = max(model.option.iterations, ITERATIONS)
    model.option.ls_iterations = max(model.option.ls_iterations, ITERATIONS)
    site = mujoco.mjtObj.mjOBJ_SITE
    for foot in feet:
        for kind, sensor in FOOT_SENSORS.items():
            model.add_sensor(name=f"{kind}:{foot}", type=sensor, objtype=site, objname=foot)
    if terrain is not None:
        terrain.replace_ground(model, GROUND)
    return model


def foot_columns(model: mujoco.MjModel, kind: str, feet: tuple[str, ...]) -> list[int]:
    """Columns of the sensor data that hold `kind`, of `FOOT_SENSORS`, of `feet`, one foot after the other."""
    sensors = [model.sensor(f"{kind}:{foot}") for foot in feet]
    return [int(sensor.adr[0]) + k for sensor in sensors for k in range(int(sensor.dim[0]))]


def refuse_overload(model: mujoco.MjModel, base: int, payload: Tensor) -> None:
    """Raise ValueError where payloads (n, 1) kg leave nothing of the body `base`."""
    mass = float(model.body_mass[base])
    if not bool((payload > -mass).all()):
        raise ValueError(f"a payload of {float(payload.min()):g} kg leaves nothing of the base's {mass:g} kg")


def default_parameters(model: mujoco.MjModel, spec: RobotSpec, num_envs: int) -> dict[str, Tensor]:
    """(num_envs, k) each: the gains of `spec`, all of the torque, no delay, the ground's friction, no load."""
    one = {
        "stiffness": [joint.stiffness for joint in spec.joints.values()],
        "damping": [joint.damping for joint in spec.joints.values()],
        "strength": [1.0] * len(spec.joints),
        "command_delay": [0.0],
        "friction": [float(model.geom(GROUND).friction[0])],
        "payload": [0.0],
        "com_offset": [0.0] * 3,
    }
    return {name: torch.tensor(values).repeat(num_envs, 1) for name, values in one.items()}
