"""The other process: how it is started, asked, and what is said when it does not answer."""

from __future__ import annotations

import json
import mmap
import os
import select
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import isthmus_sim.worker
from isthmus_sim.worker.channel import DONE, PROTOCOL, arrays, receive_text, send_text, size
from isthmus_sim.worker.robot import Robot, to_json

_FOLDER = str(Path(isthmus_sim.worker.__file__).parent)
_LAST_CHARACTERS = 600


class WorkerError(ConnectionError):
    """A simulator's process did not start, died, did not answer, or answered for another robot; the message says which,
    what it printed last, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """Whom to start.

    Args:
        name: Of the engine, for messages.
        physics: Its `Physics`, "MODULE:CLASS".
        python: The interpreter: a name or a path.
        needs: What to do where it does not start, a sentence.
        path: A folder that `physics` and what it imports may come from as well.
        start_s: Longest time until it is ready, s: a simulator may compile kernels.
        answer_s: Longest time of one request, s.
    """

    name: str
    physics: str
    python: str
    needs: str
    path: str = ""
    start_s: float = 300.0
    answer_s: float = 60.0


class WorkerProcess:
    """A worker that is ready. `arrays` are shared with it; `versions` say what simulates.

    Raises:
        WorkerError: it did not start, or answered for another robot or protocol.
    """

    def __init__(self, simulator: Simulator, robot: Robot, heights: np.ndarray | None = None) -> None:
        self.simulator = simulator
        shared = Path("/dev/shm")
        with tempfile.NamedTemporaryFile(dir=shared if shared.is_dir() else None, prefix="isthmus-") as file:
            file.truncate(size(robot))
            self._memory = mmap.mmap(file.fileno(), 0)
            self.arrays: dict[str, np.ndarray] = arrays(self._memory, robot)
            if heights is not None:
                self.arrays["terrain"][:] = heights
            self._start()
            try:
                hello = self._introduce(robot, file.name)
            except BaseException:
                self.close()
                raise
        self.versions: dict[str, str] = hello["versions"]

    def _start(self) -> None:
        told, tells = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process
        try:
            self._process = subprocess.Popen(
                [self.simulator.python, _FOLDER, str(tells)],
                bufsize=0, stdin=subprocess.PIPE, stdout=self._said, stderr=self._said, pass_fds=(tells,),
                start_new_session=True,  # Ctrl-C is for whoever started it, who may have something to save
            )  # fmt: skip
        except OSError as error:
            os.close(told)
            self._said.close()
            raise WorkerError(
                f"the engine {self.simulator.name!r} needs the interpreter {self.simulator.python!r}, which does not "
                f"start ({error.strerror}): {self.simulator.needs}"
            ) from error
        finally:
            os.close(tells)
        self._answers = os.fdopen(told, "rb", buffering=0)
        assert self._process.stdin is not None
        self._requests = self._process.stdin
        self.pid = self._process.pid

    def _introduce(self, robot: Robot, memory: str) -> dict[str, Any]:
        """Tell it what to build; what it answers."""
        order = {
            "physics": self.simulator.physics, "path": self.simulator.path, "memory": memory, "robot": to_json(robot),
        }  # fmt: skip
        try:
            send_text(self._requests, json.dumps(order))  # pyright: ignore[reportArgumentType]
        except BrokenPipeError:
            raise self._ended() from None
        self._await_answer(self.simulator.start_s)
        hello = json.loads(self._text())
        for what, expected in (("protocol", PROTOCOL), ("robot", robot.name), ("joints", sorted(robot.joints))):
            answered = sorted(hello[what]) if what == "joints" else hello[what]
            if answered != expected:
                raise self._error(f"answered for another {what}: {answered}, not {expected}")
        return hello

    def request(self, what: int) -> None:
        """Have it done: RESET, ADVANCE or both added up. Raises WorkerError where it does not do it."""
        try:
            self._requests.write(bytes((what,)))
        except ValueError:
            raise WorkerError(f"the engine {self.simulator.name!r} was closed") from None
        except BrokenPipeError:
            raise self._ended() from None
        self._await_answer(self.simulator.answer_s)

    def _await_answer(self, seconds: float) -> None:
        waiting = select.poll()
        waiting.register(self._answers, select.POLLIN)
        if not waiting.poll(1e3 * seconds):
            self._process.kill()
            raise self._error(f"did not answer within {seconds:g} s, and was stopped", self._last_words())
        answer = self._answers.read(1)
        if not answer:
            raise self._ended()
        if answer != DONE:
            raise self._error(f"failed: {self._text().strip()}")

    def _text(self) -> str:
        try:
            return receive_text(self._answers)
        except EOFError:
            raise self._ended() from None

    def _ended(self) -> WorkerError:
        try:
            how = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return self._error("closed its side, and goes on", self._last_words())
        return self._error(f"ended with {how}", self._last_words())

    def _last_words(self) -> str:
        """What it printed last, in one line."""
        self._said.seek(0)
        said = " ".join(self._said.read().decode(errors="replace").split())[-_LAST_CHARACTERS:]
        return f" It said last: {said}" if said else ""

    def _error(self, what: str, last_words: str = "") -> WorkerError:
        name, needs = self.simulator.name, self.simulator.needs
        return WorkerError(f"the worker of the engine {name!r} {what}. {needs}{last_words}")

    def close(self) -> None:
        """End it, and wait until it has."""
        self._requests.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._said.close()
