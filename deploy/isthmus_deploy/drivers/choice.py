"""The driver that a policy needs."""

from __future__ import annotations

from collections.abc import Callable

from isthmus_deploy.drivers.chunk import ChunkDriver
from isthmus_deploy.drivers.driver import Driver
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.chunk_inference import Inferer
from isthmus_deploy.policy.runtime import Runtime


def driver_of(runtime: Runtime, infer: Callable[[Runtime], Inferer]) -> Driver:
    """Who drives by a policy.

    Args:
        runtime: The loaded policy.
        infer: Makes what runs a policy of chunks: `InLoop`, or on a robot `WorkerThread`.
    """
    return StepDriver(runtime) if runtime.contract.chunk is None else ChunkDriver(infer(runtime))
