"""`isthmus-watch`: a page on which an operator sees a policy node and its robot, and stops it."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.contracts.profile import ProfileError
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.node.within import Within, check

_NICE = 10  # whoever drives a robot on this machine goes first


@dataclass(frozen=True, kw_only=True)
class Config:
    """Serve a page that shows a policy node and its robot, with a button that stops it.

    The page shows the state and its cause, the readings against their limits, latency, and what the node said before.
    It runs beside `isthmus-deploy`, on this machine or another one, and publishes nothing: it calls the node's services
    when somebody presses a button. It is no emergency stop: that is a switch which cuts the power.
    """

    namespace: str = ""
    """ROS namespace of the robot, such as /drone1."""
    profile: Annotated[tuple[Path, Path] | None, tyro.conf.arg(metavar="PROFILE POLICY")] = None
    """Hardware profile, and the policy file that it belongs to, of a robot that does not say what it is."""
    host: str = "127.0.0.1"
    """Where the page is served. On 0.0.0.0 everybody in the network can press its buttons."""
    port: Annotated[int, Within(0, 65535)] = 8081
    """Where the page is served; another port when that one is taken."""

    def __post_init__(self) -> None:
        check(self)


def main() -> None:
    """Entry point of `isthmus-watch`."""
    config = tyro.cli(Config, prog="isthmus-watch", args=ros2.own_arguments())
    ros2.run(lambda: _serve(config), name="isthmus-watch", refusals=(PolicyFileError, ProfileError))


def _serve(config: Config) -> int:
    ros2.require()
    if find_spec("viser") is None:
        raise ros2.Refusal('the page needs viser: pip install -c constraints.txt "isthmus[ros,watch]"')
    check_address(config.host, config.port)
    os.nice(_NICE)  # before there are threads: each has its own
    from isthmus_deploy.ros.page.service import serve

    return serve(config)


def check_address(host: str, port: int) -> None:
    """Raise Refusal where no page can be served: viser tries it in a thread, which nobody hears of when it fails."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) != errno.EADDRINUSE:  # then another port is taken
            raise ros2.Refusal(f"the page cannot be served on {host!r}, port {port}: {error}") from error


if __name__ == "__main__":
    main()
