"""Robots: a folder each, and one entry under the entry points `isthmus.robots`."""

from __future__ import annotations

from isthmus_sim.description import RobotDescription
from isthmus_sim.registry import Registry

ROBOTS: Registry[RobotDescription] = Registry("isthmus.robots", "robot", RobotDescription)
