"""The process that encodes one camera's images. VideoProcess starts it by `python -m` and this module's name.

Images come through shared memory; commands come and replies go as JSON lines through pipes:
["begin", path], ["image"] for each one, ["finish"] or ["abandon"]; ["ready"] at first and after each video,
["encoded", how many so far], ["failed", why]. After ["failed"] only ["abandon"] ends the video.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from isthmus_datasets.format.files import not_written
from isthmus_datasets.format.images.video import Frame, write_video

Message = list[Any]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What the process is told at its start.

    Args:
        memory: Descriptor of the shared memory.
        slots: Images that fit into it.
        shape: (H, W, 3) of each.
        fps, crf, key_every, lossless: As `VideoWriter` has them.
        parent: Process whose end is this one's.
    """

    memory: int
    slots: int
    shape: tuple[int, int, int]
    fps: int
    crf: int
    key_every: int
    lossless: bool
    parent: int

    def to_json(self) -> str:
        """One argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EncoderConfig:
        """What `to_json` gave."""
        entry = json.loads(text)
        return cls(**entry | {"shape": tuple(entry["shape"])})


def ring(memory: int, slots: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """(slots, *shape): images in shared memory."""
    return np.frombuffer(mmap.mmap(memory, slots * int(np.prod(shape))), np.uint8).reshape(slots, *shape)


class Messages:
    """JSON lines that come out of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest = descriptor, b""

    def receive(self, timeout_s: float) -> list[Message]:
        """Those that have come; if there are none, the first ones within `timeout_s`. Raises EOFError at the end."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        data = os.read(self._descriptor, 65536)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


class _Abandoned(Exception):  # noqa: N818
    """The video is not wanted any more."""


class Encoder:
    """One video after another. Ends the process when the other side of the pipes, or the parent, is gone."""

    def __init__(self, config: EncoderConfig) -> None:
        self._config, self._taken = config, 0
        self._ring = ring(config.memory, config.slots, config.shape)
        self._commands = self._receive()

    def serve(self) -> None:
        """Until the pipe ends."""
        self._reply("ready")
        for _, path in self._commands:
            try:
                self._encode(Path(path))
            except _Abandoned:
                pass
            except (OSError, FFmpegError, ValueError) as error:
                self._reply("failed", str(not_written(Path(path), error)))
                self._wait_for_abandon()
            self._reply("ready")

    def _encode(self, path: Path) -> None:
        config = self._config
        how = {"fps": config.fps, "crf": config.crf, "key_every": config.key_every, "lossless": config.lossless}
        write_video(path, self._images(), **how)

    def _images(self) -> Iterator[Frame]:
        """Those of one video. A slot is free again when the next image is asked for."""
        for command, *_ in self._commands:
            if command == "finish":
                return
            if command == "abandon":
                raise _Abandoned
            self._taken += 1
            yield self._ring[(self._taken - 1) % self._config.slots]
            self._reply("encoded", self._taken)

    def _wait_for_abandon(self) -> None:
        for command, *_ in self._commands:
            if command == "abandon":
                return
            self._taken += command == "image"

    def _receive(self) -> Iterator[Message]:
        messages = Messages(sys.stdin.fileno())
        while os.getppid() == self._config.parent:
            try:
                yield from messages.receive(1.0)
            except EOFError:
                break
        raise SystemExit

    def _reply(self, *message: str | int) -> None:
        try:
            os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise SystemExit from None


if __name__ == "__main__":
    Encoder(EncoderConfig.from_json(sys.argv[1])).serve()
