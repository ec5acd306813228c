"""The page at work, beside a node that knows nothing of it."""

from __future__ import annotations

from contextlib import closing

from isthmus_deploy.ros.page.node_watch import NodeWatch
from isthmus_deploy.ros.page.panel import Page
from isthmus_deploy.ros.page.robot_watch import RobotWatch
from isthmus_deploy.ros.ros2 import Link, StopRequest
from isthmus_deploy.ros.watch import Config

_PERIOD_S = 0.2


def serve(config: Config) -> int:
    """Serve the page until told to stop; returns the process's exit status.

    Raises:
        ProfileError: the profile may not be used.
        PolicyFileError: the policy file may not be used.
        Refusal: they do not fit each other, or ROS 2 does not start.
    """
    stop, link = StopRequest(), Link("watch", config.namespace)
    try:
        robot, node = RobotWatch(link, config.profile), NodeWatch(link)
        with closing(Page(config.host, config.port, node.ask)) as page:
            print(f"open {page.url}; Ctrl-C ends it", flush=True)
            while not stop:
                page.show(node, robot)
                link.wait(_PERIOD_S, lambda: stop)
    finally:
        link.close()
    return 0
