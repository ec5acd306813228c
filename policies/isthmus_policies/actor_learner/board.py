"""The learner's newest policy, as the actor reads it."""

from __future__ import annotations

import time
import zlib
from contextlib import ExitStack
from pathlib import Path

from safetensors.torch import load, save

from isthmus_policies.actor_learner.shared_file import create, mapped, only, require
from isthmus_policies.networks.policy import Tensors

FILE = "policy"
FORMAT = "isthmus.policy_board.1"
_HEAD = 64
"""Bytes before the places: version and heartbeat; and before a place's tensors: length and checksum."""


class PolicyBoard:
    """Tensors by name in a file that processes share, in two places by turns: the learner writes the one that nobody is
    told to read. Neither ever waits for the other.

    Tensors are in the safetensors format, which executes nothing.
    """

    def __init__(self, folder: Path, tensors: Tensors, *, write: bool) -> None:
        """tensors: Such as will be written, for their size. Raises ExchangeError where the file is of others, or
        somebody writes already."""
        path = folder / FILE
        content = _whole(tensors)
        shapes = {name: [*value.shape, str(value.dtype)] for name, value in tensors.items()}
        self._room = _HEAD + len(content)
        about, size = {"format": FORMAT, "tensors": shapes}, _HEAD + 2 * self._room
        with ExitStack() as held:
            if write:
                held.enter_context(only(folder / f"{FILE}.lock", "a learner"))
                create(path, about, size)
            require(path, about, size)
            self._memory = held.enter_context(mapped(path))
            self._held = held.pop_all()

    @property
    def version(self) -> int:
        """How often tensors were written; 0: never."""
        return int.from_bytes(self._memory[:8], "little")

    def write(self, tensors: Tensors) -> None:
        """Show these from now on."""
        content, version = _whole(tensors), self.version + 1
        place = _HEAD + version % 2 * self._room
        head = len(content).to_bytes(8, "little") + zlib.crc32(content).to_bytes(8, "little")
        self._memory[place : place + len(head)] = head
        self._memory[place + _HEAD : place + _HEAD + len(content)] = content
        self._memory[:8] = version.to_bytes(8, "little")
        self.beat()

    def read(self) -> Tensors | None:
        """The newest tensors; None where there are none, or they were written anew while they were read."""
        version = self.version
        if version == 0:
            return None
        place = _HEAD + version % 2 * self._room
        length, check = (int.from_bytes(self._memory[place + i : place + i + 8], "little") for i in (0, 8))
        content = self._memory[place + _HEAD : place + _HEAD + length]
        return load(content) if zlib.crc32(content) == check else None

    def beat(self) -> None:
        """The learner is alive."""
        self._memory[8:16] = time.monotonic_ns().to_bytes(8, "little")

    @property
    def silence_s(self) -> float:
        """Since the learner was last alive, s."""
        return 1e-9 * (time.monotonic_ns() - int.from_bytes(self._memory[8:16], "little"))

    def close(self) -> None:
        """Let go of the file."""
        self._held.close()


def _whole(tensors: Tensors) -> bytes:
    return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
