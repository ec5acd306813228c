"""The page's keyboard: keys that move the target while they are held, and keys that ask for something once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import get_args

import numpy as np
import viser
from viser._messages import HotkeyKey, RunJavascriptMessage

from isthmus_datasets.teleop.devices.motion import Motion

_LINEAR, _ANGULAR = 0, 3

MOVES: dict[str, tuple[int, float]] = {
    "W": (_LINEAR, 1.0), "ARROWUP": (_LINEAR, 1.0), "S": (_LINEAR, -1.0), "ARROWDOWN": (_LINEAR, -1.0),
    "A": (_LINEAR + 1, 1.0), "ARROWLEFT": (_LINEAR + 1, 1.0), "D": (_LINEAR + 1, -1.0),
    "ARROWRIGHT": (_LINEAR + 1, -1.0), "E": (_LINEAR + 2, 1.0), "Q": (_LINEAR + 2, -1.0),
    "O": (_ANGULAR, 1.0), "U": (_ANGULAR, -1.0), "I": (_ANGULAR + 1, 1.0), "K": (_ANGULAR + 1, -1.0),
    "J": (_ANGULAR + 2, 1.0), "L": (_ANGULAR + 2, -1.0), "V": (6, 1.0), "C": (6, -1.0),
}  # fmt: skip
"""Key -> which of linear x, y, z, angular x, y, z, gripper, and which way, in the terms of `Motion`."""
STILL = "END"
"""Lets go of all of them."""
_NAMES: dict[str, HotkeyKey] = {name.upper(): name for name in get_args(HotkeyKey)}

# Viser tells that a key went down, and again and again while it is held, but not that it came up; and some of these
# keys move its camera. So the page stops repetitions; when a key comes up it presses STILL, and then what is still
# held; and it hides these keys from the camera, which listens at the document, behind viser's own shortcuts at the
# root element.
_SCRIPT = """
if (window.isthmusKeys) return;
window.isthmusKeys = true;
const codes = new Set(%s), held = new Map(), root = document.documentElement;
const press = (key, code) => root.dispatchEvent(new KeyboardEvent("keydown", {key, code, bubbles: true}));
const pressHeld = () => { press("End", "End"); held.forEach((key, code) => press(key, code)); };
window.addEventListener("keydown", event => {
  const typing = event.target.matches?.("input, textarea, select");
  if (!event.isTrusted || typing || !codes.has(event.code)) return;
  if (event.repeat) { event.stopImmediatePropagation(); event.preventDefault(); }
  else held.set(event.code, event.key);
}, true);
root.addEventListener("keydown", event => { if (codes.has(event.code)) event.stopPropagation(); });
window.addEventListener("keyup", event => { if (held.delete(event.code)) pressHeld(); }, true);
window.addEventListener("blur", () => { held.clear(); pressHeld(); });
"""


def motion_of(held: Iterable[str]) -> Motion:
    """What keys of `MOVES` that are held together ask for; two that contradict each other ask for nothing."""
    asked = np.zeros(7)
    for key in held:
        element, way = MOVES[key]
        asked[element] += way
    asked = np.clip(asked, -1.0, 1.0)
    return Motion(linear=asked[:3], angular=asked[3:6], gripper=float(asked[6]))


def on_moves(server: viser.ViserServer, told: Callable[[str], None]) -> None:
    """`told` will be told, from another thread, of every key of `MOVES` that goes down, and of STILL."""
    for key in (*MOVES, STILL):
        on_key(server, key, "stand still" if key == STILL else f"move {key}", lambda key=key: told(key))
    codes = [f"Arrow{key[5:].title()}" if key.startswith("ARROW") else f"Key{key}" for key in MOVES]
    server.gui._websock_interface.queue_message(RunJavascriptMessage(source=_SCRIPT % codes))


def on_key(server: viser.ViserServer, key: str, label: str, pressed: Callable[[], None]) -> None:
    """`pressed` will be called, from another thread, when the key goes down or `label` is chosen in the palette."""

    async def call(_: object) -> None:
        pressed()

    server.gui.add_command(label, hotkey=_NAMES[key]).on_trigger(call)
