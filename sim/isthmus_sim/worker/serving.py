"""A worker's life: it is told what to build, says what it is, and answers requests until the other side closes."""

from __future__ import annotations

import importlib
import json
import mmap
import platform
import sys
import traceback
from typing import BinaryIO

import numpy as np

from isthmus_sim.worker.channel import (
    ADVANCE,
    DONE,
    FAILED,
    PROTOCOL,
    RESET,
    arrays,
    receive_text,
    send_text,
)
from isthmus_sim.worker.loop import Worlds
from isthmus_sim.worker.robot import Robot, from_json


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until `requests` ends. What goes wrong is told to the other side, in words."""
    try:
        worlds = _built(json.loads(receive_text(requests)), answers)
        while request := requests.read(1):
            if request[0] & RESET:
                worlds.reset()
            if request[0] & ADVANCE:
                worlds.advance()
            answers.write(DONE)
    except (EOFError, BrokenPipeError):
        return  # nobody is there any more
    except Exception as error:  # noqa: BLE001  # a simulator may raise anything: it is told, and ends the worker
        traceback.print_exc()
        answers.write(FAILED)
        send_text(answers, f"{type(error).__name__}: {error}")


def _built(order: dict[str, str], answers: BinaryIO) -> Worlds:
    """The worlds that were ordered: path (to import from, too), physics (MODULE:CLASS), memory (a file), robot."""
    if order["path"]:
        sys.path.insert(0, order["path"])
    module, name = order["physics"].split(":")
    robot = from_json(order["robot"])
    with open(order["memory"], "r+b") as file:
        shared = arrays(mmap.mmap(file.fileno(), 0), robot)
    origins = _origins(robot)
    physics = getattr(importlib.import_module(module), name)(robot, shared["terrain"], origins)
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    versions.update(physics.versions)
    answers.write(DONE)
    hello = {"protocol": PROTOCOL, "robot": robot.name, "joints": list(physics.joints), "versions": versions}
    send_text(answers, json.dumps(hello))
    return Worlds(robot, shared, physics, origins)


def _origins(robot: Robot) -> np.ndarray:
    """(n, 3) m: a square grid about the middle, where numbers are finest."""
    side = int(np.ceil(np.sqrt(robot.num_envs)))
    row, column = np.divmod(np.arange(robot.num_envs), side)
    grid = np.stack((row, column, np.zeros_like(row)), axis=1) - [(side - 1) / 2, (side - 1) / 2, 0.0]
    return (robot.spacing * grid).astype(np.float32)
