"""Starting, waiting and stopping with rclpy: everything that is about ROS 2 in Python and not about a robot.

This module imports without ROS 2; `require` is called before anything else is loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from isthmus_deploy.ros.domain import domain_problem
from isthmus_deploy.ros.wall_clock_watch import WallClockWatch

if TYPE_CHECKING:
    from rclpy.node import Node

REQUIRED = ("rclpy", "std_msgs", "geometry_msgs", "nav_msgs", "sensor_msgs", "diagnostic_msgs", "std_srvs")
INSTALL = """\
ROS 2 for Python is missing (no module named {missing!r}).
Either install the wheels:      pip install -c constraints.txt "isthmus[ros]"
or use this machine's ROS 2:    source /opt/ros/<distro>/setup.bash
Everything else in isthmus works without it."""

# Defaults for this process and its children; whatever the person has set stays.
_ENVIRONMENT = {
    # Nothing leaves this machine unless asked for: a robot on the same network must not obey a demonstration.
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    # Shared-memory segments left behind by killed processes slow the discovery of the next ones from 0.1 s to seconds,
    # and for messages of a few hundred bytes UDP over loopback is no slower.
    "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
    "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] {name}: {message}",
}
_KILTED_RCLPY = 9  # major version of its rclpy
_ROS_ARGUMENTS = "--ros-args"
_LONGEST_SPIN_S = 0.1  # a signal is noticed at the latest after this


class Refusal(RuntimeError):  # noqa: N818
    """The command does not start, or does not go on; the message tells the person why and what to do."""


def require() -> None:
    """Check that ROS 2 can be imported, and set this process's defaults.

    Raises:
        Refusal: a package is missing; the message says how to install it.
    """
    for name in REQUIRED:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise Refusal(INSTALL.format(missing=error.name)) from error
    for name, value in {**_ENVIRONMENT, _profile_variable(): str(Path(__file__).with_name("fastdds.xml"))}.items():
        os.environ.setdefault(name, value)


def _profile_variable() -> str:
    """What this rclpy's Fast DDS calls its file of defaults: renamed with Kilted, which warns of the old name."""
    try:
        major = int(importlib.metadata.version("rclpy").split(".")[0])
    except importlib.metadata.PackageNotFoundError:  # a system ROS 2 built without Python metadata
        return "FASTDDS_DEFAULT_PROFILES_FILE"
    return "FASTDDS_DEFAULT_PROFILES_FILE" if major >= _KILTED_RCLPY else "FASTRTPS_DEFAULT_PROFILES_FILE"


def run(command: Callable[[], int | None], *, name: str, refusals: tuple[type[Exception], ...] = ()) -> NoReturn:
    """Run a command's body and exit with its status; `Refusal` and `refusals` are printed and exit with 2."""
    try:
        status = command()
    except (Refusal, *refusals) as refusal:
        print(f"{name}: refused: {refusal}", file=sys.stderr, flush=True)
        raise SystemExit(2) from refusal
    raise SystemExit(status or 0)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line's own arguments, and those of ROS 2: `--ros-args` and what follows it, up to `--` or the end.

    Launch files give remaps, a namespace and log levels in that way.
    """
    own: list[str] = []
    ros: list[str] = []
    taken = own
    for argument in arguments:
        if argument == _ROS_ARGUMENTS:
            taken = ros
        taken.append(argument)
        if argument == "--" and taken is ros:
            taken = own
    return own, ros


def own_arguments() -> list[str]:
    """What this process was called with, less what is for ROS 2: that is the `Link`'s."""
    return split_arguments(sys.argv[1:])[0]


class StopRequest:
    """Whether Ctrl-C came, or another signal by which a process is ended, such as that of a terminal that is closed.

    The first asks for a clean end.

    Args:
        again: Whether Ctrl-C after it ends the process at once. Not for one that has a robot to lay down.
    """

    def __init__(self, *, again: bool = True) -> None:
        self.signal: str | None = None
        self._again = again
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup goes on
                signal.signal(number, self._on_signal)

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self, what: str) -> None:
        """Ask for the end by something else than a signal."""
        self.signal = self.signal or what

    def _on_signal(self, number: int, _frame: object) -> None:
        self.ask(signal.Signals(number).name)
        if self._again:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


class Link:
    """One ROS 2 node whose callbacks run only while its owner waits. What the process was told in `--ros-args` holds
    for it.

    With one thread nothing needs a lock, and no second thread competes for the interpreter when a reading arrives. An
    exception in a callback leaves through the wait that ran it.

    `EventsExecutor.spin()` never returns in these rclpy versions; `spin_once` with a time-out works, also when somebody
    sets the wall clock (`WallClockWatch`).

    Args:
        name: The node's.
        namespace: Its namespace; by default what `--ros-args` say.
        make: Makes the node, where it is one of a kind of its own.

    Raises:
        Refusal: what `--ros-args`, the namespace or ROS_DOMAIN_ID say cannot be.
    """

    def __init__(self, name: str, namespace: str = "", make: Callable[..., Node] | None = None) -> None:
        import rclpy
        from rclpy.exceptions import InvalidParameterTypeException, NameValidationException
        from rclpy.signals import SignalHandlerOptions
        from rclpy.utilities import ok

        _, arguments = split_arguments(sys.argv[1:])
        if problem := domain_problem(os.environ.get("ROS_DOMAIN_ID", "")):
            raise Refusal(f"ROS 2 does not start: ROS_DOMAIN_ID: {problem}")
        try:
            self._began = not ok()  # a second link of this process shares what the first one began
            if self._began:
                rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
            self.node: Node = (make or rclpy.create_node)(name, namespace=namespace or None)
        except (RuntimeError, NameValidationException, InvalidParameterTypeException) as error:
            # A remap, a domain, a name or a use_sim_time that cannot be.
            raise Refusal(f"ROS 2 does not start: {error}") from error
        self._executor = _executor()
        self._executor.add_node(self.node)
        self._watch = WallClockWatch(self._executor.wake)
        self._others: list[Node] = []

    def also(self, name: str) -> Node:
        """One more node in this process, by its full name or one in the namespace of the first; served as that is."""
        import rclpy

        namespace, _, last = name.rpartition("/")
        node = rclpy.create_node(last, namespace=namespace or self.node.get_namespace())
        self._others.append(node)
        self._executor.add_node(node)
        return node

    def wait(self, timeout_s: float, done: Callable[[], object] = lambda: False) -> bool:
        """Serve callbacks until `done()` is true or `timeout_s` has passed; returns whether it is."""
        return self.wait_until(time.monotonic_ns() + int(timeout_s * 1e9), done)

    def wait_until(self, deadline_ns: int, done: Callable[[], object] = lambda: False) -> bool:
        """As `wait`, until `time.monotonic_ns()` reaches `deadline_ns`."""
        while not done():
            left_s = (deadline_ns - time.monotonic_ns()) * 1e-9
            if left_s <= 0:
                return False
            self._executor.spin_once(timeout_sec=min(left_s, _LONGEST_SPIN_S))
        return True

    def now(self) -> Any:
        """The time stamp for a message's header."""
        return self.node.get_clock().now().to_msg()

    def close(self) -> None:
        """Leave the network."""
        from rclpy.utilities import try_shutdown

        self._watch.close()
        nodes = (self.node, *self._others)
        for node in nodes:
            self._executor.remove_node(node)
        self._executor.shutdown()
        for node in nodes:
            node.destroy_node()
        if self._began:
            try_shutdown()


@contextlib.contextmanager
def scope(node: Node) -> Generator[None]:
    """Whatever the node has begun to publish, to listen to and to serve inside of it ends with it."""
    kinds = (
        (lambda: node.publishers, node.destroy_publisher),
        (lambda: node.subscriptions, node.destroy_subscription),
        (lambda: node.services, node.destroy_service),
        (lambda: node.clients, node.destroy_client),
        (lambda: node.timers, node.destroy_timer),
    )
    before = {entity for there, _ in kinds for entity in there()}
    try:
        yield
    finally:
        for there, destroy in kinds:
            for entity in {*there()} - before:
                destroy(entity)  # pyright: ignore[reportArgumentType]


def _executor() -> Any:
    """The events executor where this rclpy has it: less work per message than the single-threaded one."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor()
    return EventsExecutor()
