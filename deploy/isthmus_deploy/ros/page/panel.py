"""The page itself: state, stop button, figures and log on the left, bars on the right."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import viser

from isthmus_deploy.ros.page import markup
from isthmus_deploy.ros.page.node_watch import REQUESTS, STOP, NodeWatch
from isthmus_deploy.ros.page.robot_watch import RobotWatch

_WIDTH, _BARS_WIDTH = 420, 760  # pixels
# Viser has buttons of one size. This one is found by its icon, which no other has.
_BIG_STOP = """<style>
button:has(.icon-tabler-hand-stop) { height: 6em !important; background: #d11507 !important; }
button:has(.icon-tabler-hand-stop) span { font-size: 1.8rem; font-weight: 800 !important; }
</style>"""
_COLOURS = {"arm": "blue", "start": "green", "reset": "gray"}


class Page:
    """Served until closed, to as many browsers as like.

    Args:
        host, port: Where it is served; another port when that one is taken.
        ask: Is told from another thread which button was pressed: `STOP` or one of `REQUESTS`.
    """

    def __init__(self, host: str, port: int, ask: Callable[[str], None]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it has a banner of its own
            self._server = viser.ViserServer(host=host, port=port, verbose=False)
        self._host, self._ask = host, ask
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label("Isthmus · robot")
        gui.main_panel.dock_left()  # viser's own notices appear to the right of it, and cover no button
        gui.main_panel.set_width(_WIDTH)
        self._heading, self._state = gui.add_html(""), gui.add_html("")
        gui.add_html(_BIG_STOP)
        self._add_button(STOP, "red", viser.Icon.HAND_STOP)
        self._answer = gui.add_html("")
        self._next = {name: self._add_button(name, _COLOURS[name]) for name in REQUESTS}
        self._figures, self._log = gui.add_html(""), gui.add_html("")
        panel = gui.add_panel()
        panel.dock_right()
        panel.set_width(_BARS_WIDTH)
        with panel.add_tab("Signals"):
            self._bars = gui.add_html("")

    @property
    def url(self) -> str:
        """The address of the page."""
        host = "localhost" if self._host == "0.0.0.0" else self._host
        return f"http://{host}:{self._server.get_port()}"

    def show(self, node: NodeWatch, robot: RobotWatch) -> None:
        """What is now; nothing while no browser shows it."""
        if not self._server.get_clients():
            return
        silence_s = node.silence_s
        _write(self._heading, markup.heading(robot.name, node.name))
        _write(self._state, markup.state_box(node.state, node.cause, silence_s))
        words, good = node.answer
        _write(self._answer, markup.answer_line(words, good=good))
        for name, button in self._next.items():
            _set_disabled(button, not node.allows(name))
        _write(self._figures, markup.figures(node.values, silence_s))
        _write(self._log, markup.log(node.changes))
        _write(self._bars, robot.markup())

    def close(self) -> None:
        """Serve it no more."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    def _add_button(self, name: str, colour: Any, icon: Any = None) -> viser.GuiButtonHandle:
        label = name.upper() if name == STOP else name.capitalize()
        button = self._server.gui.add_button(label, color=colour, icon=icon, disabled=name != STOP)

        async def call(_: object) -> None:
            self._ask(name)

        button.on_click(call)
        return button


def _write(where: viser.GuiHtmlHandle, content: str) -> None:
    if where.content != content:
        where.content = content


def _set_disabled(button: viser.GuiButtonHandle, disabled: bool) -> None:
    if button.disabled != disabled:
        button.disabled = disabled
