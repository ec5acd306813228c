"""What a policy node needs of the machine and of the ROS 2 it finds there, as findings in words."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping

from isthmus_deploy.ros import realtime
from isthmus_deploy.ros.doctor.finding import Finding, fine, remark, wrong
from isthmus_deploy.ros.domain import domain_problem

_TRIED_RMW = "rmw_fastrtps_cpp"
_EPHEMERAL = range(102, 215)  # their ports are those that Linux hands out to anybody


def check_machine(rmw: str, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Domain, discovery, middleware, scheduling and memory.

    Args:
        rmw: Name of the middleware in use.
        environment: Variables of this process.
    """
    return [
        fine("python", f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores"),
        check_domain(environment.get("ROS_DOMAIN_ID", "")),
        _check_discovery(environment),
        fine("middleware", rmw) if rmw == _TRIED_RMW else remark("middleware", f"{rmw}: only {_TRIED_RMW} was tried"),
        _check_scheduling(),
        _check_memory(),
    ]


def check_domain(text: str) -> Finding:
    """ROS_DOMAIN_ID is a number that DDS can compute ports of."""
    name = "ROS_DOMAIN_ID"
    if not text:
        return fine(name, "0 (not set)")
    if problem := domain_problem(text):
        return wrong(name, problem)
    if int(text) in _EPHEMERAL:
        return remark(name, f"{text}: other programs may take its ports; 0 to 101 are safe")
    return fine(name, text)


def _check_discovery(environment: Mapping[str, str]) -> Finding:
    found = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    if found == "LOCALHOST":
        return remark("discovery", "LOCALHOST: robots on other machines are not seen (ROS_AUTOMATIC_DISCOVERY_RANGE)")
    return fine("discovery", found)


def _check_scheduling() -> Finding:
    if realtime.prefix():
        return fine("scheduling", "SCHED_FIFO is permitted")
    return remark("scheduling", "SCHED_FIFO is not permitted: add `<user> - rtprio 90` to /etc/security/limits.conf")


def _check_memory() -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit == resource.RLIM_INFINITY:
        return fine("memory", "all of it may be locked")
    return remark("memory", f"{limit >> 20} MiB may be locked: add `<user> - memlock unlimited` to limits.conf")
