"""A scene as a compiled MuJoCo model: physics step, terrain, and the sensors that its quantities are read from."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's names come from its compiled modules, which a type checker cannot see into.)

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from isthmus_sim.actuators import PDMotors
from isthmus_sim.engines.agreement import check_agreement
from isthmus_sim.scene import Quantity, Scene

if TYPE_CHECKING:
    from isthmus_sim.scenes.terrain import Terrain

ITERATIONS = 50
"""Iterations of the contact solver at most; it ends by itself, and cut short it has been seen to throw a foot."""

Columns = slice | list[int]

SITE_SENSORS = {
    "site_position": mujoco.mjtSensor.mjSENS_FRAMEPOS,
    "site_velocity": mujoco.mjtSensor.mjSENS_FRAMELINVEL,
    "contact_force": mujoco.mjtSensor.mjSENS_TOUCH,
}


def scene_spec(scene: Scene, *, looks: bool = False) -> mujoco.MjSpec:
    """The scene's model before it is compiled, a copy. Raises ValueError for a model that MuJoCo cannot read."""
    source = scene.source(looks)
    try:
        spec = mujoco.MjSpec.from_string(source) if isinstance(source, str) else source.copy()
    except ValueError as error:
        raise ValueError(f"the model of {scene.robot.name!r} cannot be read: {error}") from error
    spec.option.timestep = scene.timestep_s
    if scene.terrain is not None:
        _lay(scene.terrain, spec, scene.ground)
    return spec


def compile_scene(scene: Scene) -> mujoco.MjModel:
    """The model that engines simulate.

    Raises ValueError for a model that does not compile, and DescriptionError for one that the description contradicts.
    """
    spec = scene_spec(scene)
    for quantity in scene.quantities:
        _add_sensors(spec, quantity)
    try:
        model = spec.compile()
    except ValueError as error:
        raise ValueError(f"the model of {scene.robot.name!r} does not compile: {error}") from error
    check_agreement(scene, model)
    _set_nominal(scene, model)
    for actuator in scene.robot.actuators:
        if isinstance(actuator, PDMotors):
            _prepare_for_drives(model, actuator)
    return model


def _set_nominal(scene: Scene, model: mujoco.MjModel) -> None:
    """Parameters as engines keep them, in float32: then a world is the same whether or not they were ever set in it."""
    for variation in scene.all_variations:
        rows = {p.name: np.array([p.nominal], np.float32).astype(np.float64) for p in variation.parameters}
        for field, values in variation.fields(model, rows).items():
            getattr(model, field)[:] = values[0]
    mujoco.mj_setConst(model, mujoco.MjData(model))


def _prepare_for_drives(model: mujoco.MjModel, actuator: PDMotors) -> None:
    """Dry friction is the drives' here, and the contact solver has time to end."""
    for name in actuator.joints:
        model.joint(name).frictionloss = 0.0
    model.opt.iterations = max(model.opt.iterations, ITERATIONS)
    model.opt.ls_iterations = max(model.opt.ls_iterations, ITERATIONS)


def _add_sensors(spec: mujoco.MjSpec, quantity: Quantity) -> None:
    sensor = SITE_SENSORS.get(quantity.kind)
    if sensor is None:
        return
    for site in quantity.of:
        name = sensor_name(quantity.kind, site)
        # A site that there is not is reported later, with all else that the model lacks.
        if spec.site(site) is not None and spec.sensor(name) is None:
            spec.add_sensor(name=name, type=sensor, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=site)


def columns(addresses: list[int]) -> Columns:
    """An index of these columns: a slice, which does not copy, where they follow one another."""
    first, last = addresses[0], addresses[-1]
    return slice(first, last + 1) if addresses == list(range(first, last + 1)) else addresses


def joint_columns(model: mujoco.MjModel, joints: tuple[str, ...]) -> tuple[Columns, Columns]:
    """Where the joints are in qpos and qvel."""
    found = [model.joint(name) for name in joints]
    return columns([int(j.qposadr[0]) for j in found]), columns([int(j.dofadr[0]) for j in found])


def sensor_name(kind: str, site: str) -> str:
    """The sensor that reads this kind of quantity of a site."""
    return f"{kind}:{site}"


def sensor_columns(model: mujoco.MjModel, names: list[str]) -> list[int]:
    """Columns of the sensor data that hold the sensors `names`, one after the other."""
    sensors = [model.sensor(name) for name in names]
    return [int(sensor.adr[0]) + k for sensor in sensors for k in range(int(sensor.dim[0]))]


def base_joint(model: mujoco.MjModel, body: str) -> tuple[int, int]:
    """First columns in qpos and in qvel of a body's free joint."""
    joint = int(model.body_jntadr[model.body(body).id])
    return int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])


def _lay(terrain: Terrain, spec: mujoco.MjSpec, ground: str) -> None:
    """Put the terrain where the model has the geom `ground`, with that geom's friction."""
    flat = spec.geom(ground)
    if flat is None:
        raise ValueError(f"the model has no geom {ground!r} that terrain could replace")
    low, high = float(terrain.heights.min()), float(terrain.heights.max())
    # MuJoCo's rows go along y, its columns along x.
    heights = terrain.heights.T.contiguous().numpy()
    spec.add_hfield(
        name="terrain",
        size=[*(0.5 * terrain.config.cell * (n - 1) for n in terrain.heights.shape), max(high - low, 1e-3), 0.5],
        nrow=heights.shape[0],
        ncol=heights.shape[1],
        userdata=np.ravel(heights - low),
    )
    flat.type = mujoco.mjtGeom.mjGEOM_HFIELD
    flat.hfieldname = "terrain"
    flat.pos = [0.0, 0.0, low]
