"""Where a demonstration ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine() -> str:
    """Processor, cores, memory and operating system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"] if platform.system() == "Linux" else platform.platform()
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"
    )


def packages() -> str:
    """Versions of what did the work."""
    found = []
    for name in ("torch", "mujoco", "onnxruntime", "ros-rclpy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # a distribution's ROS 2 is no package of pip's
            continue
    return ", ".join(found)
