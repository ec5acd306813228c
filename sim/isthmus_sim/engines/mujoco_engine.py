"""MuJoCo on CPU threads: N copies of a scene's model, stepped by `mujoco.batch.Batch`."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable

import mujoco
import mujoco.batch
import numpy as np
import torch
from torch import Tensor

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
from isthmus_sim.engines.mujoco_cameras import WorldImages
from isthmus_sim.engines.mujoco_drives import make_drive
from isthmus_sim.engines.mujoco_model import SITE_SENSORS, Columns, base_joint, compile_scene
from isthmus_sim.engines.mujoco_quantities import Read, reading, writing
from isthmus_sim.engines.nominal import nominal
from isthmus_sim.scene import Scene
from isthmus_sim.threads import THREADS

_CONTROL = int(mujoco.mjtState.mjSTATE_CTRL)
_LIVE = ("qpos", "qvel", "ctrl", "qfrc_applied", "qacc_warmstart")


class MujocoEngine:
    """`Engine`: N worlds of a scene.

    `qpos`, `qvel` and `ctrl` are live float64 tensors over the simulator's own memory, without a copy.

    Raises:
        ValueError: the model does not compile, contradicts the description, or its time step does not divide the
            control period.
    """

    def __init__(self, scene: Scene, num_envs: int, *, num_threads: int = THREADS.physics) -> None:
        self.scene, self.num_envs, self.device = scene, num_envs, torch.device("cpu")
        self.model = compile_scene(scene)
        # A diverged world must be seen and counted; MuJoCo's own remedy is to reset it without a word.
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.num_substeps = substeps(scene.robot.control_period_s, self.model.opt.timestep)
        self.batch = mujoco.batch.Batch(self.model, num_envs, num_threads)
        live = {name: torch.from_numpy(self.batch.bind(name)) for name in _LIVE}
        self.qpos, self.qvel, self.ctrl, self._applied, _ = live.values()
        self.mocap = torch.from_numpy(self.batch.bind("mocap_pos"))
        self._live = live | ({"mocap_pos": self.mocap} if self.model.nmocap else {})
        self._raised = torch.zeros(num_envs, dtype=torch.bool)
        self.force, self.torque = torch.zeros(num_envs, 3), torch.zeros(num_envs, 3)
        self._base = base_joint(self.model, scene.robot.base)[1] if scene.robot.base else None
        self.params = nominal(scene, num_envs)
        self._fields: dict[str, Tensor] = {}
        self.drives = [make_drive(a, self.model, num_envs, self.num_substeps) for a in scene.robot.actuators]
        self._closed_loop = any(drive.closed_loop for drive in self.drives)
        for drive in self.drives:
            drive.derive(self.params)
        cameras = [quantity for quantity in scene.quantities if quantity.kind == "camera"]
        self._images = WorldImages(self.model, cameras, num_envs, num_threads) if cameras else None
        self.images = self._images.images if self._images is not None else {}
        self._readings = {quantity.name: reading(self, quantity) for quantity in scene.quantities}
        self._writings = {quantity.name: writing(self, quantity) for quantity in scene.quantities if quantity.settable}
        self._stage = _stage(scene)
        self.capabilities = frozenset(
            {"snapshots", *(f"params:{name}" for name in self.params), *(("wrench",) if self._base is not None else ())}
        )

    # --- a trip ---

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        if resets is not None:
            self._reset(resets)
        if commands is not None:
            self._step(commands)
        if self._images is not None:
            ids = torch.arange(self.num_envs) if commands is not None or resets is None else resets.ids
            self._images.draw(ids, self.qpos, self.mocap, self._fields)
        return {name: read() for name, read in self._readings.items()}

    def sensors(self, found: Columns) -> Read:
        """A function that reads these columns of the sensor data, (num_envs, k) float32."""
        live = self.batch.bind("sensordata")  # read-only: no tensor can be made over it
        return lambda: torch.tensor(live[:, found], dtype=torch.float32)

    def _step(self, commands: Commands) -> None:
        self._raised.zero_()
        for drive in self.drives:
            drive.begin(commands[drive.command])
        run = self._run_closed_loop if self._closed_loop else self._run_open_loop
        run()
        for drive in self.drives:
            drive.end()

    def _run_closed_loop(self) -> None:
        qpos, qvel, ctrl = self.qpos.numpy(), self.qvel.numpy(), self.ctrl.numpy()
        for k in range(self.num_substeps):
            for drive in self.drives:
                drive.control(k, qpos, qvel, ctrl)
            self._noting_failures(lambda: self.batch.step(None, 1, mujoco.mjtStage.mjSTAGE_NONE))

    def _run_open_loop(self) -> None:
        qpos, qvel = self.qpos.numpy(), self.qvel.numpy()
        controls = np.zeros((self.num_envs, self.num_substeps, self.model.nu))
        for k in range(self.num_substeps):
            for drive in self.drives:
                drive.control(k, qpos, qvel, controls[:, k])
        self._noting_failures(lambda: self.batch.rollout(self.num_substeps, controls, _CONTROL, record=()))

    def _noting_failures(self, call: Callable[[], object]) -> None:
        """Do this and keep in mind which worlds it failed in."""
        try:
            call()
        except mujoco.batch.SimulationError as error:
            self._raised[torch.from_numpy(np.asarray(error.ids))] = True

    def failed(self) -> Tensor:
        fast = self.qvel.abs().amax(-1)
        # MuJoCo takes a control that is not a number for zero and goes on.
        numbers = torch.isfinite(self.qpos.sum(-1) + self.ctrl.sum(-1))
        return self._raised | ~(fast < SPEED_LIMIT) | ~numbers

    # --- resets ---

    def _reset(self, resets: Resets) -> None:
        ids = resets.ids
        refuse_unknown_state(self._writings, resets.state)
        self.set_params(ids, resets.params)
        worlds = np.unique(ids.numpy())
        self.batch.reset(worlds, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._hold_wrench()
        for drive in self.drives:
            drive.reset(ids)
        for name, rows in resets.state.items():
            self._writings[name](ids, rows)
        self._settle(worlds)

    def _settle(self, worlds: np.ndarray | None) -> None:
        """Compute what follows from the state of `worlds`, None for all, as far as it is read."""
        stage = self._stage
        if stage is not None:
            self._noting_failures(lambda: self.batch.forward(worlds, stage))

    def set_params(self, ids: Tensor, params: Params) -> None:
        if not params:
            return
        refuse_unknown_params(self.capabilities, params)
        fields = self._fields_for(ids, params)  # may refuse, and then nothing has been set
        for name, rows in params.items():
            self.params[name][ids] = rows
        for drive in self.drives:
            drive.derive(self.params)
        for name, rows in fields.items():
            live = self._field(name)
            live[ids] = torch.from_numpy(rows).to(live.dtype).reshape(len(ids), *live.shape[1:])
        if fields:
            self.batch.set_const(np.unique(ids.numpy()))

    def _fields_for(self, ids: Tensor, params: Params) -> dict[str, np.ndarray]:
        """Model fields of worlds `ids` with these parameters, the others as they are."""
        fields: dict[str, np.ndarray] = {}
        for variation in self.scene.all_variations:
            names = [parameter.name for parameter in variation.parameters]
            if not params.keys().isdisjoint(names):
                rows = {name: params[name] if name in params else self.params[name][ids] for name in names}
                fields |= variation.fields(self.model, {name: row.double().numpy() for name, row in rows.items()})
        return fields

    def _field(self, name: str) -> Tensor:
        """A model field's values per world, live: (num_envs, ...)."""
        if name not in self._fields:
            self._fields[name] = torch.from_numpy(self.batch.expand(name))
        return self._fields[name]

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        if self._base is None:
            raise UnsupportedError(f"the base of {self.scene.robot.name} is fixed: it takes no wrench")
        self.force, self.torque = force, torque
        self._hold_wrench()

    def _hold_wrench(self) -> None:
        """MuJoCo's reset clears the wrench; here it holds until it is set again."""
        if self._base is not None:
            # The free joint's generalised force is just this: force in the world, torque in the body.
            self._applied[:, self._base : self._base + 3] = self.force
            self._applied[:, self._base + 3 : self._base + 6] = self.torque

    # --- snapshots ---

    def _memory(self) -> dict[str, Tensor]:
        drives = {f"{d.command}.{name}": value for d in self.drives for name, value in d.memory.items()}
        return self._live | drives

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._memory().items()}

    def state_dict(self) -> dict[str, Tensor]:
        return self._memory() | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        given = {name: state[f"params.{name}"] for name in self.params}
        # Those that differ: a model field that no world varies is not expanded.
        changed = {name: rows for name, rows in given.items() if not torch.equal(rows, self.params[name])}
        self.set_params(torch.arange(self.num_envs), changed)
        self._recall(state)
        if self._base is not None:
            wrench = self._applied[:, self._base : self._base + 6].float()
            self.force, self.torque = wrench[:, :3], wrench[:, 3:]
        self._settle(None)
        self._recall(state)  # the solver has left another start for its next search

    def _recall(self, state: dict[str, Tensor]) -> None:
        for name, live in self._memory().items():
            live.copy_(state[name])

    def close(self) -> None:
        if self._images is not None:
            self._images.close()
        del self.batch


def _stage(scene: Scene) -> int | None:
    """How far a reset world must be computed before it is read; None: not at all."""
    kinds = {quantity.kind for quantity in scene.quantities}
    # What is not computed is left as it was in the simulator's thread: that of any other world.
    if kinds & {"sensor", "contact_force"}:
        return mujoco.mjtStage.mjSTAGE_ACC
    return mujoco.mjtStage.mjSTAGE_VEL if kinds & set(SITE_SENSORS) else None
