"""MuJoCo Warp: all worlds of a scene on a GPU (or, slowly, on the CPU), every control step one CUDA graph."""

# Warp is optional: a type checker may not find it. MuJoCo's names come from compiled modules.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable

import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

from isthmus_sim.actuators import PDMotors
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import (
    SPEED_LIMIT,
    Commands,
    Params,
    Resets,
    State,
    UnsupportedError,
    refuse_unknown_params,
    refuse_unknown_state,
    substeps,
)
from isthmus_sim.engines import base_load
from isthmus_sim.engines.mujoco_model import Columns, base_joint, compile_scene
from isthmus_sim.engines.mujoco_quantities import Read, index_of, reading, writing
from isthmus_sim.engines.nominal import nominal
from isthmus_sim.engines.warp_buffers import Room, refuse_overflow
from isthmus_sim.engines.warp_drives import WarpMotors
from isthmus_sim.scene import Scene
from isthmus_sim.variations import GroundFriction, Load, Variation

wp.config.log_level = wp.LOG_WARNING  # else a line for each of its fifty modules
wp.init()

_LIVE = ("qpos", "qvel", "ctrl", "qfrc_applied", "qacc_warmstart", "sensordata")
_FIELDS = ("geom_friction", "body_mass", "body_inertia", "body_ipos", *base_load.FIELDS)
"""Model fields with a value for each world: those that variations set, and what is derived from them."""
_UNREAD = ("sensor", "mocap_position", "camera")


class WarpEngine:
    """`Engine`: N worlds of a scene whose joints `PDMotors` drive, in float32.

    Parameters are those of the motors, of `GroundFriction`, and of a `Load` on the base. `qpos` and `qvel` are live
    tensors over the simulator's own memory, and so is what is read where that has the layout. `device`: by default the
    GPU when torch has one, else the CPU. The first start on a machine compiles the kernels, which takes a minute. On a
    GPU the order of contacts, and so the last bits, change from run to run.

    Contacts of all worlds share `nconmax` * num_envs places, and each world has `njmax` rows of constraints; by default
    what a robot can need whose geoms touch the ground alone. `advance` raises BufferOverflowError when one did not
    suffice in the step before: to see it at once would mean to wait for the GPU.

    Raises:
        UnsupportedError: the scene has other actuators, or quantities that this engine does not read.
        ValueError: the model does not compile, contradicts the description, or its time step does not divide the
            control period.
    """

    def __init__(
        self,
        scene: Scene,
        num_envs: int,
        *,
        device: torch.device | str | None = None,
        nconmax: int | None = None,
        njmax: int | None = None,
    ) -> None:
        motors = _supported(scene)
        self.scene, self.num_envs = scene, num_envs
        self.device = _numbered(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = compile_scene(scene)
        self.num_substeps = substeps(scene.robot.control_period_s, self.model.opt.timestep)
        self.params = {name: value.to(self.device) for name, value in nominal(scene, num_envs).items()}
        self.images: dict[str, Tensor] = {}
        self._find_base(scene.robot)
        self._variations = [v for v in scene.all_variations if self._can_vary(v)]
        with wp.ScopedDevice(wp.device_from_torch(self.device)):
            self._upload(nconmax, njmax)
            self.drives = [WarpMotors(a, self.model, self.params, self.num_substeps) for a in motors]
            self._capture()
        self._readings = {quantity.name: reading(self, quantity) for quantity in scene.quantities}
        self._writings = {quantity.name: writing(self, quantity) for quantity in scene.quantities if quantity.settable}
        sources = (*motors, *self._variations)
        self.capabilities = frozenset(
            {"snapshots", *(f"params:{p.name}" for source in sources for p in source.parameters)}
            | ({"wrench"} if scene.robot.base else set())
        )
        self.set_params(torch.arange(num_envs, device=self.device), self._settable_params())

    def _find_base(self, robot: RobotDescription) -> None:
        self.force, self.torque = (torch.zeros(self.num_envs, 3, device=self.device) for _ in range(2))
        if robot.base is not None:
            self._base, self._base_dof = int(self.model.body(robot.base).id), base_joint(self.model, robot.base)[1]
            self._load = base_load.BaseLoad(self.model, self._base, self.device)

    def _can_vary(self, variation: Variation) -> bool:
        loads_base = isinstance(variation, Load) and variation.body == self.scene.robot.base
        return loads_base or isinstance(variation, GroundFriction)

    def _upload(self, nconmax: int | None, njmax: int | None) -> None:
        """The model with its fields per world, the simulator's data, and torch's view of both."""
        try:
            self.warp_model = mjw.put_model(self.model, batch_sizes=dict.fromkeys(_FIELDS, self.num_envs))
        except NotImplementedError as error:
            raise UnsupportedError(f"MuJoCo Warp cannot simulate this scene: {error} Use 'mujoco'") from error
        self.warp_model.opt.warn_overflow = 0  # the GPU would print them; here they are raised
        if self.device.type == "cuda":
            self.warp_model.opt.graph_conditional = wp.is_conditional_graph_supported()
        room = Room.of(self.model)
        nconmax, njmax = nconmax or room.contacts, njmax or room.rows
        # Scratch memory for collisions with a height field, one for each pair.
        pairs = min(room.pairs, nconmax)
        self.data = mjw.make_data(self.model, self.num_envs, nconmax=nconmax, nccdmax=pairs, njmax=njmax)
        self._fields = {name: wp.to_torch(getattr(self.warp_model, name)) for name in _FIELDS}
        self._live = {name: wp.to_torch(getattr(self.data, name)) for name in _LIVE}
        self.qpos, self.qvel, self.ctrl, self._applied, _, self._sensors = self._live.values()
        self.mocap, self._overflow = wp.to_torch(self.data.mocap_pos), wp.to_torch(self.data.overflow)

    def _capture(self) -> None:
        """The graphs, and the worlds as they were before."""
        self._start = self.qpos[0].clone()
        wp.synchronize_device()  # from here Warp's own stream, until now torch's
        self._step_graph, self._sites_graph = _captured(self._launch_step), _captured(self._launch_sites)
        wp.synchronize_device()
        self._rest(torch.arange(self.num_envs, device=self.device))

    def _launch_step(self) -> None:
        for k in range(self.num_substeps):
            for drive in self.drives:
                drive.launch(k, self.data)
            mjw.step(self.warp_model, self.data)
        for drive in self.drives:
            drive.launch_end()

    def _launch_sites(self) -> None:
        for stage in (mjw.kinematics, mjw.com_pos, mjw.com_vel, mjw.sensor_pos, mjw.sensor_vel):
            stage(self.warp_model, self.data)

    def _replay(self, graph: wp.Graph) -> None:
        """After what torch has begun, and before what it begins next."""
        wp.capture_launch(graph, wp.stream_from_torch(self.device) if self.device.type == "cuda" else None)

    # --- a trip ---

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        if resets is not None:
            self._reset(resets)
        if commands is not None:
            refuse_overflow(self._overflow, self.data)
            for drive in self.drives:
                drive.begin(commands[drive.command])
            self._replay(self._step_graph)
        return {name: read() for name, read in self._readings.items()}

    def sensors(self, found: Columns) -> Read:
        """A function that reads these columns of the sensor data, (num_envs, k)."""
        index = index_of(found, self._sensors)
        return lambda: self._sensors[:, index]

    def failed(self) -> Tensor:
        fast = self.qvel.abs().amax(-1)
        return ~(fast < SPEED_LIMIT) | ~torch.isfinite(self.qpos.sum(-1) + self.ctrl.sum(-1))

    # --- resets ---

    def _reset(self, resets: Resets) -> None:
        ids = resets.ids
        refuse_unknown_state(self._writings, resets.state)
        self.set_params(ids, resets.params)
        self._rest(ids)
        for name, rows in resets.state.items():
            self._writings[name](ids, rows)
        others = self._sensors.clone()
        self._replay(self._sites_graph)
        others[ids] = self._sensors[ids]
        self._sensors.copy_(others)

    def _rest(self, ids: Tensor) -> None:
        """Worlds `ids` as the model has them, without motion and without anything that they remember."""
        for name, memory in self._live.items():
            if name != "qfrc_applied":  # the wrench holds until it is set again
                memory[ids] = 0.0
        self.qpos[ids] = self._start
        for drive in self.drives:
            drive.reset(ids)

    def _settable_params(self) -> Params:
        return {name: value.clone() for name, value in self.params.items() if f"params:{name}" in self.capabilities}

    def set_params(self, ids: Tensor, params: Params) -> None:
        refuse_unknown_params(self.capabilities, params)
        fields = self._fields_for(ids, params)  # may refuse, and then nothing has been set
        for name, rows in params.items():
            self.params[name][ids] = rows
        for drive in self.drives:
            drive.derive(ids)
        for name, rows in fields.items():
            self._fields[name][ids] = rows.float()

    def _fields_for(self, ids: Tensor, params: Params) -> dict[str, Tensor]:
        """Model fields of worlds `ids` with these parameters, the others as they are."""
        fields: dict[str, Tensor] = {}
        for variation in self._variations:
            names = [parameter.name for parameter in variation.parameters]
            if not params.keys().isdisjoint(names):
                rows = {name: params[name] if name in params else self.params[name][ids] for name in names}
                fields |= variation.fields(self.model, {name: row.double() for name, row in rows.items()})
        if "body_mass" in fields:
            mass, inertia, centre = (fields[name][:, self._base] for name in ("body_mass", "body_inertia", "body_ipos"))
            fields |= self._load.derive(mass, inertia, centre)
        return fields

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        if self.scene.robot.base is None:
            raise UnsupportedError(f"the base of {self.scene.robot.name} is fixed: it takes no wrench")
        # The free joint's generalised force is just this: force in the world, torque in the body.
        first = self._base_dof
        self.force, self.torque = force, torque
        self._applied[:, first : first + 3] = force
        self._applied[:, first + 3 : first + 6] = torque

    # --- snapshots ---

    def _memory(self) -> dict[str, Tensor]:
        drives = {f"{d.command}.{name}": value for d in self.drives for name, value in d.memory.items()}
        return self._live | drives

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._memory().items()}

    def state_dict(self) -> dict[str, Tensor]:
        return self._memory() | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, live in self.state_dict().items():
            live.copy_(state[name])
        self.set_params(torch.arange(self.num_envs, device=self.device), self._settable_params())
        if self.scene.robot.base is not None:
            wrench = self._applied[:, self._base_dof : self._base_dof + 6].clone()
            self.force, self.torque = wrench[:, :3], wrench[:, 3:]

    def close(self) -> None:
        del self._step_graph, self._sites_graph, self.data, self.warp_model


def _supported(scene: Scene) -> list[PDMotors]:
    """The scene's actuators. Raises UnsupportedError for a scene that this engine cannot simulate."""
    actuators = scene.robot.actuators
    motors = [actuator for actuator in actuators if type(actuator) is PDMotors]
    if len(motors) < len(actuators):
        kinds = ", ".join(sorted({type(a).__name__ for a in actuators if type(a) is not PDMotors}))
        raise UnsupportedError(
            f"the engine 'warp' drives joints by PDMotors, and {scene.robot.name} has {kinds}; use 'mujoco'"
        )
    unread = [quantity.name for quantity in scene.quantities if quantity.kind in _UNREAD]
    if unread:
        raise UnsupportedError(f"the engine 'warp' reads no {', '.join(unread)}; use 'mujoco'")
    return motors


def _captured(work: Callable[[], None]) -> wp.Graph:
    """`work` as a graph. It runs before: that compiles its kernels, which a capture cannot."""
    work()
    with wp.ScopedCapture() as capture:
        work()
    assert capture.graph is not None
    return capture.graph


def _numbered(device: torch.device | str) -> torch.device:
    """The device with its number, which Warp asks for: "cuda" alone is torch's current one."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device
