"""Libraries that only some devices need."""

from __future__ import annotations

import importlib
from types import ModuleType

from isthmus_datasets.recording.operator import DeviceError


def library(module: str, *, device: str, package: str) -> ModuleType:
    """Import `module` for a device. Raises DeviceError that says how to get the package it is in."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DeviceError(
            device, f"the package {package} is not installed: pip install {package}, or 'isthmus[teleop]'"
        ) from error
