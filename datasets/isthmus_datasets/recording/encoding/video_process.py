"""Encoding beside the recording loop: images go through shared memory to a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from isthmus_datasets.format.images.video import Frame
from isthmus_datasets.format.staging import CRF, KEY_EVERY
from isthmus_datasets.recording.encoding.video_encoder import EncoderConfig, Messages, ring

PATIENCE_S = 60.0
"""How long the process may say nothing when something is waited for."""


class VideoError(RuntimeError):
    """A video is not being written any more. The message names the file."""


class VideoProcess:
    """Encodes one camera's images, one video after another, in a process of its own.

    Images lie in a ring of shared memory until they are encoded. When it is full, `write` waits: no image is ever
    dropped. The memory has no name and the process watches its pipe, so that neither outlives this process, however it
    ends.

    Args:
        shape: (H, W, 3) of every image.
        fps: Rate of the videos.
        slots: Images that may wait.
        lossless: As `VideoWriter` has it.

    Raises:
        OSError: there is not so much memory, or no process can be started.
    """

    def __init__(self, shape: tuple[int, int, int], *, fps: int, slots: int, lossless: bool = False) -> None:
        self._slots, self._path = slots, Path()
        self._sent = self._encoded = 0
        self._failure: str | None = None
        self._ready = self._begun = self._held = False
        memory = os.memfd_create("isthmus-video")
        try:
            os.posix_fallocate(memory, 0, slots * int(np.prod(shape)))
            self._ring = ring(memory, slots, shape)
            config = EncoderConfig(
                memory=memory, slots=slots, shape=shape, fps=fps, crf=CRF, key_every=KEY_EVERY, lossless=lossless,
                parent=os.getpid(),
            )  # fmt: skip
            self._process = subprocess.Popen(
                [sys.executable, "-m", "isthmus_datasets.recording.encoding.video_encoder", config.to_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[memory],
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the recorder, which then ends this one
            )
        finally:
            os.close(memory)
        assert self._process.stdin
        assert self._process.stdout
        self._commands, self._replies = self._process.stdin, Messages(self._process.stdout.fileno())

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can write another video."""
        return self._process.poll() is None

    def begin(self, path: Path) -> None:
        """Start a video, which appears under its name only when it is finished. Raises as `write`."""
        self._path, self._failure = path, None
        self._wait_until_ready()
        self._ready, self._begun = False, True
        self._send("begin", str(path))

    def write(self, image: Frame) -> None:
        """Append a copy of `image`, waiting for room if need be. The process hears of it with the next one or at the
        end: until then it can be taken back.

        Raises:
            VideoError: the process has died or does not answer, or the file cannot be written.
        """
        self._receive(0.0)
        self._hand_over()
        while self._sent - self._encoded >= self._slots:
            self._receive(PATIENCE_S)
        self._ring[self._sent % self._slots] = image
        self._held = True

    def take_back(self) -> Frame:
        """The newest image, which is not in the video then. Once, and only after `write`."""
        self._held = False
        return self._ring[self._sent % self._slots].copy()

    def finish(self) -> None:
        """Wait until all is encoded and the file has its name. Raises as `write`."""
        self._hand_over()
        self._end("finish")

    def abandon(self) -> None:
        """Forget the video, if there is one in progress; nothing of it is left."""
        self._failure = None
        try:
            if self._begun:
                self._end("abandon")
        except VideoError:
            self._process.kill()
            self.close()

    def close(self) -> None:
        """End the process."""
        self._commands.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def _hand_over(self) -> None:
        if self._held:
            self._held = False
            self._sent += 1
            self._send("image")

    def _end(self, command: str) -> None:
        self._send(command)
        self._wait_until_ready()
        self._encoded = self._sent
        self._begun = self._held = False

    def _wait_until_ready(self) -> None:
        while not self._ready:
            self._receive(PATIENCE_S)

    def _send(self, *message: str) -> None:
        try:
            self._commands.write(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ValueError):
            raise VideoError(self._death()) from None

    def _receive(self, timeout_s: float) -> None:
        """Take in what the process says. Raises VideoError when that is bad news, or nothing in time."""
        try:
            messages = self._replies.receive(timeout_s)
        except EOFError:
            raise VideoError(self._death()) from None
        for kind, *rest in messages:
            if kind == "encoded":
                self._encoded = rest[0]
            elif kind == "failed":
                self._failure = rest[0]
            self._ready |= kind == "ready"
        if self._failure:
            raise VideoError(self._failure)
        if not messages and timeout_s > 0.0:
            raise VideoError(f"{self._path}: the process that encodes it has not answered for {timeout_s:.0f} s")

    def _death(self) -> str:
        self._process.wait()
        return f"{self._path}: the process that encodes it has ended (exit code {self._process.returncode})"
