"""The process of a policy node: configures what drives the robot, lets it, and forgets it, as its lifecycle has it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.choice import driver_of
from isthmus_deploy.policy.chunk_inference import WorkerThread
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros import realtime
from isthmus_deploy.ros.controllers import ControllerWatch
from isthmus_deploy.ros.node import parameters
from isthmus_deploy.ros.node.managed import ManagedNode
from isthmus_deploy.ros.node.ownership import RobotLock
from isthmus_deploy.ros.node.policy_driver import PolicyDriver
from isthmus_deploy.ros.node.policy_node import Config
from isthmus_deploy.ros.profiles import fitting_profile, robot_table
from isthmus_deploy.ros.ros2 import Link, Refusal, StopRequest, scope
from isthmus_deploy.ros.unblocked import unblocked
from isthmus_deploy.ros.watchdog.client import WatchdogClient
from isthmus_deploy.safety.supervisor import TransitionError

_IDLE_S = 1.0


def drive(config: Config) -> int:
    """Run the node until it is told to stop; returns the process's exit status.

    Raises:
        Refusal: the robot, the policy or this machine is not what it must be; nothing was armed.
        PolicyFileError: the policy file may not be run.
        ProfileError: the profile may not be used.
    """
    stop = StopRequest(again=False)  # it takes its time to lay the robot down
    if config.cpus:
        _keep_to(config)
    with unblocked() as output, closing(Link("policy_node", config.namespace, ManagedNode)) as link:
        assert isinstance(link.node, ManagedNode)
        process = PolicyProcess(config, link, link.node, stop, output)
        with closing(process):
            return process.run()


class PolicyProcess:
    """What a lifecycle manager asks of the node; without one, it configures itself.

    Args:
        config: What the command line says; ROS parameters come before it.
        link: The node's.
        node: The node.
        stop: Ends it.
        output: Descriptor of where the watchdog prints.
    """

    def __init__(self, config: Config, link: Link, node: ManagedNode, stop: StopRequest, output: int) -> None:
        parameters.declare(node, config)
        parameters.hold(node, config, in_use=lambda: node.stage != "unconfigured")
        node.belong_to(self)
        self._config = parameters.read(node, config)
        self._link, self._node, self._stop, self._output = link, node, stop, output
        self._driver: PolicyDriver | None = None
        self._leaving = False
        self._held = ExitStack()

    def run(self) -> int:
        """Drive whenever configured; returns the process's exit status.

        Raises:
            Refusal: and others of `REASONS`, where the node configures itself and cannot.
        """
        if self._config.managed:
            self._node.get_logger().info("unconfigured: waiting for a lifecycle manager")
        elif not self._connect():
            return 0
        status = 0
        while not self._stop:
            if self._driver is None:
                self._link.wait(_IDLE_S, lambda: self._stop or self._driver)
            else:
                status = self._driver.run(self._ended)
                self._forget()
        return status

    def close(self) -> None:
        """Leave the robot's topics."""
        self._forget()

    def configure(self) -> None:
        """Load and verify the policy, and join the robot's topics. Nothing moves.

        Raises:
            Refusal: and others of `REASONS`; also within the control period in which the policy before is forgotten.
        """
        if self._leaving:
            raise Refusal("the policy before is being forgotten; ask again")
        config = parameters.read(self._node, self._config)
        with ExitStack() as held:  # all of it is left again where something does not fit
            driver = self._assemble(config, held)
            if config.managed:
                driver.join()
            self._held = held.pop_all()
        self._driver = driver

    def activate(self) -> None:
        """Check that the robot may be armed, and arm it."""
        self._configured.activate()

    def deactivate(self) -> None:
        """Have the robot ramped out and brought to rest."""
        self._configured.deactivate()

    def clean_up(self) -> None:
        """Forget the policy, once the tick that is due has passed. Raises TransitionError before the robot rests."""
        if not self._configured.looping:
            raise Refusal("the robot is being looked for")
        if not self._configured.passive:
            raise TransitionError("the robot is still on its way to rest")
        self._leaving = True

    def shut_down(self) -> None:
        """End the process."""
        self._stop.ask("shutdown")

    def recover(self) -> bool:
        """Forget the policy, unless the robot is driven."""
        if self._driver is None:
            return True
        self._leaving = self._driver.passive
        return self._leaving

    @property
    def _configured(self) -> PolicyDriver:
        if self._driver is None or self._leaving:
            raise Refusal("the node is not configured")
        return self._driver

    def _connect(self) -> bool:
        self._node.configure()
        return self._configured.connect(self._stop)

    def _ended(self) -> str | None:
        return self._stop.signal or ("cleanup" if self._leaving else None)

    def _forget(self) -> None:
        self._driver, self._leaving = None, False
        self._held.close()

    def _assemble(self, config: Config, held: ExitStack) -> PolicyDriver:
        runtimes = {path.stem: Runtime(path) for path in (config.chosen, *config.also)}
        contract = runtimes[config.chosen.stem].contract
        profile = fitting_profile(config.profile, contract)
        if config.realtime and (unpermitted := realtime.prefer()):  # loading was long, and nobody waited for it
            self._node.get_logger().warning(unpermitted)
        hold = held.enter_context
        # The node knows its namespace, also where a launch file has given it another one.
        lock = hold(RobotLock(self._node.get_namespace()))
        watchdog = hold(closing(WatchdogClient(contract, output=self._output, inherited=[lock.fileno()])))
        hold(scope(self._node))
        table = robot_table(self._link, profile, contract, config.wait_s, lambda: self._stop)
        controllers = ControllerWatch(self._node, profile, table.orders)
        driver = PolicyDriver(
            config, _controller(runtimes, config), link=self._link, node=self._node, table=table, watchdog=watchdog,
            controllers=controllers, profile=profile,
        )  # fmt: skip
        return hold(closing(driver))


def _controller(runtimes: Mapping[str, Runtime], config: Config) -> PolicyController:
    """The safety chain that the policies drive, by name."""
    drivers = {name: driver_of(runtime, WorkerThread) for name, runtime in runtimes.items()}
    try:
        return PolicyController(drivers, ramp_s=config.ramp_s, on_alarm=config.on_alarm)
    except ValueError as error:
        for driver in drivers.values():
            driver.close()
        raise Refusal(str(error)) from error


def _keep_to(config: Config) -> None:
    try:
        realtime.keep_to(config.cpus)
    except ValueError as error:
        raise Refusal(f"--cpus: {error}") from error
