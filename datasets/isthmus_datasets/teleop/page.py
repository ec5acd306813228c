"""The page: a robot in 3-D, a target to drag, buttons, images."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import viser
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.teleop.browser_device import BrowserDevice
from isthmus_datasets.teleop.handle import Handle, PlaneHandle, SpaceHandle
from isthmus_datasets.teleop.keys import on_moves
from isthmus_datasets.teleop.markup import Titles
from isthmus_datasets.teleop.operators.teleop_controller import TeleopController
from isthmus_datasets.teleop.panel import Panel
from isthmus_datasets.teleop.stand import Stand
from isthmus_datasets.teleop.view import View


class Page:
    """Served until closed. `panel` says what is going on.

    Args:
        model: Gives what is shown; called anew for every episode, as sizes and colours may be others.
        pose: Gives joint positions (nq,) and places of mocap bodies (nmocap, 3).
        titles: What stands on the page.
        stand: How it is looked at.
        device: Where it puts down what people ask for.
        guide: Its target is what is dragged; None where nothing is.
        cameras: name -> (height, width).
        gripper: Whether the robot has one.
        take_over: Whether somebody else drives too.
        host, port: Where it is served; another port when that one is taken.
    """

    def __init__(
        self,
        model: Callable[[], mujoco.MjModel],
        pose: Callable[[], tuple[NDArray[Any], NDArray[Any]]],
        titles: Titles,
        stand: Stand,
        device: BrowserDevice,
        *,
        guide: TeleopController | None,
        cameras: Mapping[str, tuple[int, int]],
        gripper: bool = False,
        take_over: bool = False,
        host: str = "127.0.0.1",
        port: int = 8080,
    ) -> None:
        self.device = device
        self._model, self._pose, self._guide = model, pose, guide
        with contextlib.redirect_stdout(io.StringIO()):  # it has a banner of its own
            self._server = viser.ViserServer(host=host, port=port, verbose=False)
        self._host = host
        self._light()
        self._look(stand)
        self._view = View(self._server, model())
        self._handle = self._make_handle(stand)
        opening = guide.gripper if guide is not None and gripper else None
        self.panel = Panel(self._server, self.device, titles, cameras=cameras, gripper=opening, take_over=take_over)
        if guide is not None:
            on_moves(self._server, device.key)
        self._server.on_client_connect(self._came)
        self._server.on_client_disconnect(self._left)

    def _light(self) -> None:
        """Even, so that colours are as the model has them, and cheap where a browser draws without a GPU."""
        scene = self._server.scene
        scene.configure_environment_map(None)
        scene.configure_default_lights(False)
        scene.add_light_ambient("/light/all", intensity=2.7)
        scene.add_light_directional("/light/sun", intensity=1.2, position=(0.3, -0.5, 1.0), cast_shadow=False)
        scene.world_axes.visible = False

    def _look(self, stand: Stand) -> None:
        camera = self._server.initial_camera
        camera.position, camera.look_at, camera.up, camera.fov = stand.eye, stand.look_at, stand.up, stand.fov_rad

    def _make_handle(self, stand: Stand) -> Handle | None:
        if self._guide is None:
            return None
        if stand.plane_m is None:
            return SpaceHandle(self._server, self.device.drag, size_m=stand.target_m)
        return PlaneHandle(
            self._server, self.device.drag, height_m=stand.plane_m, radius_m=stand.target_m,
            meshes=self._view.meshes.values(),
        )  # fmt: skip

    async def _came(self, _: viser.ClientHandle) -> None:
        self.device.came()

    async def _left(self, _: viser.ClientHandle) -> None:
        self.device.left()
        if self._handle is not None:
            self._handle.release()

    @property
    def url(self) -> str:
        """Where it is."""
        host = "localhost" if self._host == "0.0.0.0" else self._host
        return f"http://{host}:{self._server.get_port()}"

    def renew(self) -> None:
        """Another episode begins."""
        self._view.renew(self._model())

    def show(self, observation: Observation, *, held: bool = True) -> None:
        """The robot as it is now, the target, and now and then the images. held: whether the target is the person's
        to drag."""
        self._view.show(*self._pose())
        self.panel.images(observation.images)
        if self._guide is not None and self._handle is not None:
            self._handle.show(self._guide.target, visible=held)
            self.panel.gripper(self._guide.gripper)

    def close(self) -> None:
        """Serve it no more."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()
