"""The simulators that have workers, and where their interpreters are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from isthmus_sim.engines.worker.process import Simulator


def sapien() -> Simulator:
    """SAPIEN's PhysX: in this interpreter, or in that of ISTHMUS_SAPIEN_PYTHON."""
    return Simulator(
        name="sapien",
        physics="isthmus_sim.worker.sapien_physics:SapienPhysics",
        python=os.environ.get("ISTHMUS_SAPIEN_PYTHON", sys.executable),
        needs="It needs SAPIEN: pip install 'isthmus[sapien]', or ISTHMUS_SAPIEN_PYTHON=the interpreter that has it.",
    )


def isaacgym() -> Simulator:
    """Isaac Gym Preview 4, in the interpreter of ISTHMUS_ISAACGYM_PYTHON, by default the `python3.8` there is."""
    return Simulator(
        name="isaacgym",
        physics="isthmus_sim.worker.isaacgym_physics:IsaacGymPhysics",
        python=os.environ.get("ISTHMUS_ISAACGYM_PYTHON", "python3.8"),
        needs="It needs Isaac Gym Preview 4, from NVIDIA, in a Python 3.8: ISTHMUS_ISAACGYM_PYTHON=that interpreter.",
    )


def physx() -> Simulator:
    """Isaac's PhysX, in the environment that `make setup-physx` makes, or in that of ISTHMUS_PHYSX_PYTHON."""
    return Simulator(
        name="physx",
        physics="isthmus_sim.worker.ovphysx_physics:OvPhysXPhysics",
        python=os.environ.get("ISTHMUS_PHYSX_PYTHON", ".physx/bin/python"),
        needs="It needs ovphysx: make setup-physx, or ISTHMUS_PHYSX_PYTHON=the interpreter that has it.",
    )


SIMULATORS: dict[str, Callable[[], Simulator]] = {"sapien": sapien, "isaacgym": isaacgym, "physx": physx}
"""Engine -> its simulator as it is set up now."""
