"""The policy node at work: join a robot, check it, serve its operator, tick the controller with its readings."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

import numpy as np

from isthmus_deploy.contracts.profile import Profile
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.ros.bindings.table import BindingTable
from isthmus_deploy.ros.command_publisher import CommandPublisher
from isthmus_deploy.ros.controllers import ControllerWatch
from isthmus_deploy.ros.files import write_json
from isthmus_deploy.ros.node.hold_to_run import HoldToRun
from isthmus_deploy.ros.node.managed import ManagedNode
from isthmus_deploy.ros.node.policy_node import Config
from isthmus_deploy.ros.node.readiness import Readiness
from isthmus_deploy.ros.node.recording import Recording
from isthmus_deploy.ros.node.reports import Reports
from isthmus_deploy.ros.node.services import Services
from isthmus_deploy.ros.qos_mismatches import QosMismatches
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.realtime import freeze_garbage
from isthmus_deploy.ros.ros2 import Link, Refusal, StopRequest
from isthmus_deploy.ros.watchdog.client import WatchdogClient, patience_s, watchdog_name
from isthmus_deploy.ros.watchdog.heartbeat import Orders
from isthmus_deploy.safety.supervisor import ACTIVE, State
from isthmus_deploy.timing.loop import ControlLoop

_DIAGNOSTICS_PERIOD_NS = 1_000_000_000
# In which a node that drives the robot already may still be discovered: Fast DDS announces it every 3 s, and the first
# announcements may get lost.
_JOINING_NS = 10_000_000_000
_LAST_COMMAND_S = 0.2  # how long to wait until the robot has the last command
_SLACK_S = 0.002  # how long a reading is waited for beyond its expected time, or a quarter of a shorter period


class PolicyDriver:
    """One controller, and the policies that it has, driving one robot.

    Callbacks (readings, services) run while the control loop waits for its next reading, never beside a tick.
    """

    def __init__(
        self,
        config: Config,
        controller: PolicyController,
        *,
        link: Link,
        node: ManagedNode,
        table: BindingTable,
        watchdog: WatchdogClient,
        controllers: ControllerWatch,
        profile: Profile | None,
    ) -> None:
        self._profile = profile
        self._config, self._link, self._contract = config, link, controller.contract
        self._node = node
        self._log = node.get_logger()
        self._watchdog, self._controllers = watchdog, controllers
        self._controller = controller
        mismatches = QosMismatches()
        self._latest = LatestValues(
            self._contract,
            table,
            mismatches=mismatches,
            trust_stamps=config.trust_stamps,
            max_latency_s=config.max_latency_s,
        )
        commands = self._contract.commands
        self._publishers = {item.name: CommandPublisher(node, item, mismatches, table) for item in commands}
        self._readiness = Readiness(
            config, self._contract, link=link, chain=self._controller, latest=self._latest, commands=self._publishers,
            watchdog=watchdog, controllers=controllers, mismatches=mismatches,
        )  # fmt: skip
        self._hold_to_run = None if config.hold_to_run is None else HoldToRun(config.hold_to_run)
        period_s = self._contract.control_period_s
        slack_s = min(_SLACK_S, period_s / 4) if config.slack_s is None else config.slack_s
        self._loop = ControlLoop(period_s=period_s, tick=self._tick, wait=self._wait, slack_s=slack_s)
        self._recording = Recording(config, self._log)
        told = (self._latest, mismatches, self._recording)
        self._reports = Reports(link, self._controller, self._loop, told)
        self._sections = self._reports.sections
        self._answered_ns = self._joined_ns = self._report_due_ns = 0
        self._met = ""
        self._reported: tuple[State, str | None] = (State.PASSIVE, None)
        self._silent: tuple[str, ...] = ()
        self.looping = False
        """Whether it ticks, without which nothing may be armed."""
        self._latest.subscribe(node)

    @property
    def passive(self) -> bool:
        """Whether the robot is not commanded."""
        return self._controller.state is State.PASSIVE

    def connect(self, stop: StopRequest) -> bool:
        """Wait for the robot, check that it is the contract's, offer the services; False when told to stop meanwhile.

        Raises:
            Refusal: no robot, another robot, a robot that somebody else commands, or one whose readings do not come.
        """
        deadline_ns = time.monotonic_ns() + int(self._config.wait_s * 1e9)
        self._link.wait_until(deadline_ns, lambda: self._readiness.described or stop)
        if stop:
            return False
        self._readiness.check_robot()
        self._readiness.check_alone(elders_only=True)
        self._watchdog.give_orders(self._orders())
        self._link.wait_until(deadline_ns, lambda: not self._readiness.silent_topics() or stop)
        if stop:
            return False
        if missing := self._readiness.silent_topics():
            raise Refusal(f"after {self._config.wait_s:g} s still missing: {'; '.join(missing)}")
        self._serve()
        self._say("ready")
        return True

    def join(self) -> None:
        """As `connect`, but without waiting: what is missing or wrong is said when the node is to be activated."""
        self._watchdog.give_orders(self._orders())
        self._serve()
        self._say("configured")

    def run(self, ended: Callable[[], str | None]) -> int:
        """Tick until there is a reason to end; whatever ends it, the robot comes to rest and the last command is the
        safe one. The exit status is 1 where the log cannot be written.

        Raises:
            Refusal: another node that commands the robot was discovered late, while this one was passive.
        """
        self._joined_ns = time.monotonic_ns() + _JOINING_NS
        self._recording.start(self._controller, self._loop)
        freeze_garbage()
        gc.disable()
        self.looping = True
        try:
            self._loop.run(lambda: ended() is None)
        finally:
            self.looping = False
            state = self._controller.state
            self._come_to_rest()
            self._send_last()
            gc.enable()
            gc.unfreeze()
        self._log.info(f"ended by {ended()} in state {state.value}; {self._reports.timing_line()}")
        return self._write_log()

    def activate(self) -> None:
        """Arm. Raises Refusal and TransitionError, with the reason."""
        if not self.looping:
            raise Refusal("cannot arm yet: the robot is being looked for")
        self._readiness.check_ready()
        self._controller.arm(time.monotonic_ns())

    def deactivate(self) -> None:
        """Have the robot ramped out and brought to rest, after which it is not commanded any more.

        Raises:
            TransitionError: after a fault, it does not rest yet.
        """
        now_ns = time.monotonic_ns()
        if self._controller.state is State.FAULT:
            self._controller.reset(now_ns)
        elif not self.passive:
            self._controller.disarm(now_ns)

    def close(self) -> None:
        """End what runs beside the loop."""
        if not self._controller.close():
            self._log.warning("an inference hangs; it ends with the process")
        self._recording.close()

    def _serve(self) -> None:
        if self._hold_to_run is not None:
            self._hold_to_run.subscribe(self._node)
        Services(self._node, self._controller, self._arm, self._hold_to_run, self._settle)

    def _arm(self, now_ns: int) -> None:
        if self.passive:
            self._node.activate()
        else:
            self._controller.arm(now_ns)  # which says why not

    def _settle(self) -> None:
        """Be inactive once the robot is not commanded any more: it was reset, or has come to rest."""
        if self.passive and self._node.stage == "active":
            self._node.deactivate()

    def _say(self, what: str) -> None:
        rate, digest = 1.0 / self._contract.control_period_s, self._controller.driver.digest
        self._log.info(f"{what}: {self._contract.robot} at {rate:g} Hz, policy {digest[:12]}, state passive")

    def _orders(self) -> Orders:
        node = self._node
        return Orders(
            contract=self._contract.to_json(),
            profile=None if self._profile is None else self._profile.to_json(),
            name=watchdog_name(node.get_name()),
            namespace=node.get_namespace(),
            topics={name: publisher.topic for name, publisher in self._publishers.items()},
            hang_s=patience_s(self._contract, self._config.hang_s),
        )

    # --- the loop ---

    def _wait(self, timeout_s: float) -> bool:
        return self._link.wait(timeout_s, self._latest.take_reading)

    def _tick(self, now_ns: int) -> None:
        self._sections.begin()
        self._latest.expire(now_ns)
        ages_s = self._latest.ages_s(now_ns)
        late = self._readiness.late(now_ns, ages_s)
        self._trip_on(self._watchdog.problem() or self._latest.take_rejection() or late, now_ns)
        self._let_go(now_ns)
        self._sections.end("read")
        commands = self._controller.tick(self._latest.signals, ages_s, now_ns)
        self._sections.end("policy")
        latency_ns = 0
        self._watchdog.exchange(self._drives(), commands, damped=self._controller.damped)
        if self._drives():
            self._publish(commands)
            latency_ns = self._record_latency()
        self._latest.times.answer(time.monotonic_ns(), self._loop.late_ns)
        self._sections.end("publish")
        self._recording.tick(now_ns, self._latest.signals, ages_s, commands if self._drives() else None, latency_ns)
        self._sections.end("record")
        self._report(now_ns)
        self._settle()
        self._sections.end("report")

    def _drives(self) -> bool:
        """Whether this node commands the robot. A passive one must not: somebody else may be flying it."""
        return not self.passive

    def _trip_on(self, cause: str | None, now_ns: int) -> None:
        if cause and self._controller.state in ACTIVE:
            self._controller.fault(now_ns, cause)

    def _let_go(self, now_ns: int) -> None:
        """Stop the robot when nobody holds the button any more."""
        if self._hold_to_run is None or self._controller.state not in (State.RAMP_IN, State.RUNNING):
            return
        released = self._hold_to_run.problem(now_ns)
        if released:
            self._controller.stop(now_ns, released)

    def _publish(self, commands: Mapping[str, np.ndarray]) -> None:
        """Send commands, unless the watchdog commands the robot. When that has ended, the robot rests and stays so: at
        its safe command, and where it lies if it was damped."""
        if self._watchdog.took_over:
            commands = self._controller.last_commands if self._watchdog.ended else {}
        for name, values in commands.items():
            self._publishers[name].send(values)

    def _record_latency(self) -> int:
        """The latency of this tick, ns; 0 where it answers no reading of its own."""
        if self._latest.triggered_ns == self._answered_ns:
            return 0
        self._answered_ns = self._latest.triggered_ns
        latency_ns = time.monotonic_ns() - self._answered_ns
        self._reports.latency.record(latency_ns)
        return latency_ns

    # --- the end ---

    def _come_to_rest(self) -> None:
        """Lay down a robot that must not be sent the safe command at once; no callback is served meanwhile."""
        if self._controller.may_end:
            return
        if self._controller.state in ACTIVE:
            self._controller.stop(time.monotonic_ns(), "the node ends", at_once=True)
        period_s = self._contract.control_period_s
        due_s = time.monotonic()
        while not self._controller.may_end:
            now_ns = time.monotonic_ns()
            commands = self._controller.tick({}, {}, now_ns)
            self._watchdog.exchange(True, commands)
            self._publish(commands)
            self._recording.tick(now_ns, self._latest.signals, self._latest.ages_s(now_ns), commands)
            self._report(now_ns)
            due_s += period_s
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _send_last(self) -> None:
        if not self._drives():
            return
        last = self._controller.last_commands
        self._publish(last)
        self._watchdog.exchange(False, last)  # it is released: nothing is left to do
        for publisher in self._publishers.values():
            publisher.wait_until_taken(_LAST_COMMAND_S)

    def _write_log(self) -> int:
        if self._config.log is None:
            return 0
        try:
            write_json(self._config.log, self._reports.summary())
        except OSError as error:
            self._log.error(f"cannot write the log {self._config.log}: {error.strerror}")
            return 1
        return 0

    # --- once a second, and when something has changed ---

    def _report(self, now_ns: int) -> None:
        now, silent = (self._controller.state, self._controller.cause), self._latest.expired
        new_state, new_silence = now != self._reported, silent != self._silent
        if not new_state and not new_silence and now_ns < self._report_due_ns:
            return
        self._report_due_ns = now_ns + _DIAGNOSTICS_PERIOD_NS
        self._reported, self._silent = now, silent
        self._reports.publish()
        if new_state:
            self._reports.log_state()
        if new_silence:
            self._log.warning(f"{' and '.join(silent)} silent: zero in its place" if silent else "all topics are heard")
        if not new_state and not new_silence:
            self._look_around(now_ns)
            self._recording.look()
            if self._controller.state not in ACTIVE:
                self._controllers.ask()
            if self._watchdog.ended and not self._drives():
                self._watchdog.restart()
            gc.collect(1)  # what little the callbacks leave behind, at a known moment after the command has gone out

    def _look_around(self, now_ns: int) -> None:
        """Leave a robot that somebody drove already, and stop one that somebody else has begun to command. A publisher
        is discovered before its node has told when it came: hence two looks."""
        if now_ns >= self._joined_ns and not self._drives():
            return
        before, self._met = self._met, self._readiness.company(elders_only=True)
        if not (before and self._met):
            return
        if not self._drives():
            raise Refusal(self._met)
        self._trip_on(self._met, now_ns)
