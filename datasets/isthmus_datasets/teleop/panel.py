"""The part of the page with the buttons: what is going on, what can be asked for, what the cameras see."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import viser
from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Event
from isthmus_datasets.teleop.browser_device import BrowserDevice
from isthmus_datasets.teleop.keys import on_key
from isthmus_datasets.teleop.markup import Phase, Titles, heading, keys_table, message_line, state_box

TEXT_S, IMAGES_S = 0.1, 0.1
"""Between two changes of what is written, and of what the cameras show."""
WIDTH = 200
"""Pixels, of what the cameras see."""


@dataclass(frozen=True, kw_only=True)
class Button:
    """label: on it; key: does the same; phases: when it can be pressed."""

    label: str
    key: str
    color: Any
    icon: Any
    event: Event
    phases: tuple[Phase, ...]


BUTTONS = (
    Button(label="Start", key="R", color="red", icon=viser.Icon.PLAYER_RECORD, event=Event.START,
           phases=(Phase.WAITING, Phase.FAILED)),
    Button(label="Success", key="F", color="green", icon=viser.Icon.CHECK, event=Event.SUCCESS,
           phases=(Phase.RECORDING,)),
    Button(label="Stop and keep", key="P", color="blue", icon=viser.Icon.PLAYER_STOP, event=Event.STOP,
           phases=(Phase.RECORDING,)),
    Button(label="Discard", key="X", color="gray", icon=viser.Icon.TRASH, event=Event.DISCARD,
           phases=(Phase.RECORDING, Phase.WAITING)),
)  # fmt: skip
_TAKE, _GIVE = "T", "B"


class Panel:
    """Made once; then `phase`, `count` and `tell` say what has changed.

    Args:
        server: The page's server.
        device: Where presses go.
        titles: What stands there.
        cameras: name -> (height, width).
        gripper: Its opening at first, 0..1; None where there is none.
        take_over: Whether somebody else drives too.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        device: BrowserDevice,
        titles: Titles,
        *,
        cameras: Mapping[str, tuple[int, int]],
        gripper: float | None = None,
        take_over: bool = False,
    ) -> None:
        self._server, self._gui = server, server.gui
        self._phase, self._saved, self._written_at, self._drawn_at = None, "0 saved", 0.0, 0.0
        self._style()
        self._gui.add_html(heading(titles))
        self._state, self._message = self._gui.add_html(""), self._gui.add_html("")
        self._buttons = {button: self._add(button, device) for button in BUTTONS}
        self._control = self._add_take_over(device) if take_over else None
        self._gripper = None if gripper is None else self._add_gripper(gripper, device)
        self._quit = self._press("Quit", None, lambda: device.ask(Event.QUIT), "gray", viser.Icon.LOGOUT)
        self._gui.add_html(keys_table(titles.keys))
        self._images = self._add_images(cameras)
        self.tell("")
        self.phase(Phase.WAITING)

    def _style(self) -> None:
        self._gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(30, 90, 160))
        self._gui.set_panel_label("Isthmus · teleoperation")
        self._gui.main_panel.dock_right()
        self._gui.main_panel.set_width(330)

    def _add(self, button: Button, device: BrowserDevice) -> viser.GuiButtonHandle:
        return self._press(button.label, button.key, lambda: device.ask(button.event), button.color, button.icon)

    def _press(
        self, label: str, key: str | None, pressed: Callable[[], None], color: Any, icon: Any
    ) -> viser.GuiButtonHandle:
        handle = self._gui.add_button(f"{label}  [{key}]" if key else label, color=color, icon=icon)

        async def call(_: object) -> None:
            pressed()

        handle.on_click(call)
        if key:
            on_key(self._server, key, label, pressed)
        return handle

    def _add_take_over(self, device: BrowserDevice) -> tuple[viser.GuiButtonHandle, viser.GuiButtonHandle]:
        take = self._press("Take over", _TAKE, lambda: device.control(True), "orange", viser.Icon.HAND_GRAB)
        give = self._press("Give back", _GIVE, lambda: device.control(False), "violet", viser.Icon.ROBOT)
        return take, give

    def _add_gripper(self, opening: float, device: BrowserDevice) -> viser.GuiSliderHandle[float]:
        slider = self._gui.add_slider("Gripper", 0.0, 1.0, 0.01, opening, hint="0 closed, 1 open; keys C and V")

        async def call(event: viser.GuiEvent) -> None:
            if event.client is not None:
                device.grip(float(slider.value))

        slider.on_update(call)
        return slider

    def _add_images(self, cameras: Mapping[str, tuple[int, int]]) -> dict[str, viser.GuiImageHandle]:
        if not cameras:
            return {}
        panel = self._gui.add_panel()
        panel.dock_left()
        panel.set_width(230)
        with panel.add_tab("Cameras", viser.Icon.CAMERA):
            return {
                name: self._gui.add_image(enlarged(np.full((*size, 3), 40, np.uint8)), label=name)
                for name, size in cameras.items()
            }

    def phase(self, phase: Phase, *, steps: int = 0, seconds: float = 0.0, human: bool | None = None) -> None:
        """What is going on. steps, seconds: of the episode; human: whether the person drives, None where nobody else
        does. Written at once when the phase changes, else now and then."""
        now = time.monotonic()
        if phase is self._phase and now - self._written_at < TEXT_S:
            return
        self._written_at = now
        self._write(self._state, state_box(phase, steps=steps, seconds=seconds, human=human, saved=self._saved))
        if phase is not self._phase:
            self._phase = phase
            self._enable(phase)
        for button, off in zip(self._control or (), (human is True, human is not True), strict=False):
            _set_disabled(button, off)

    def count(self, saved: int, discarded: int, wanted: int | None) -> None:
        """Episodes so far; `wanted` of them, or as many as the person likes."""
        self._saved = f"{saved}{f' of {wanted}' if wanted else ''} saved · {discarded} discarded"

    def _enable(self, phase: Phase) -> None:
        for button, handle in self._buttons.items():
            _set_disabled(handle, phase not in button.phases)
        _set_disabled(self._quit, phase is Phase.ENDED)

    def tell(self, message: str, *, good: bool = True) -> None:
        """What became of the last episode, or what is wrong."""
        self._write(self._message, message_line(message, good=good))

    def _write(self, where: viser.GuiHtmlHandle, content: str) -> None:
        if where.content != content:
            where.content = content

    def images(self, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """What cameras see, now and then."""
        now = time.monotonic()
        if now - self._drawn_at >= IMAGES_S:
            self._drawn_at = now
            for name, image in self._images.items():
                image.image = enlarged(images[name])

    def gripper(self, opening: float) -> None:
        """How far it is open, 0..1."""
        if self._gripper is not None and abs(self._gripper.value - opening) > 0.005:
            self._gripper.value = opening


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small image (h, w, 3), its pixels repeated until it is nearly as wide as the panel."""
    times = max(1, WIDTH // image.shape[1])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _set_disabled(button: viser.GuiButtonHandle, disabled: bool) -> None:
    if button.disabled != disabled:
        button.disabled = disabled
