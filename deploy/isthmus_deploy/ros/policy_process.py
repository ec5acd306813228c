"""The policy node at work: connect to a robot, check it, serve its operator, tick the controller with its readings."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String
from std_srvs.srv import Trigger

from isthmus_deploy.chunk_controller import ChunkController
from isthmus_deploy.contracts.robot_interface import ContractMismatch, RobotInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.policy.chunk_inference import WorkerThread
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.table import BindingTable
from isthmus_deploy.ros.command_publisher import CommandPublisher
from isthmus_deploy.ros.files import write_json
from isthmus_deploy.ros.heartbeat import Orders
from isthmus_deploy.ros.latest_values import LatestValues
from isthmus_deploy.ros.ownership import OwnershipArbitration, RobotLock, other_publishers, publishers
from isthmus_deploy.ros.policy_node import Config
from isthmus_deploy.ros.profiles import fitting_profile, robot_table
from isthmus_deploy.ros.qos_mismatches import QosMismatches
from isthmus_deploy.ros.realtime import freeze_garbage
from isthmus_deploy.ros.recording import Recording
from isthmus_deploy.ros.ros2 import Link, Refusal, StopRequest
from isthmus_deploy.ros.status import diagnostics
from isthmus_deploy.ros.unblocked import unblocked
from isthmus_deploy.ros.watchdog_client import WatchdogClient, patience_s, watchdog_name
from isthmus_deploy.safety.supervisor import ACTIVE, State, TransitionError
from isthmus_deploy.timing.loop import ControlLoop, LatencyHistogram, SectionTimer

_DIAGNOSTICS_PERIOD_NS = 1_000_000_000
# In which a node that drives the robot already may still be discovered: Fast DDS announces it every 3 s, and the first
# announcements may get lost.
_JOINING_NS = 10_000_000_000
_LAST_COMMAND_S = 0.2  # how long to wait until the robot has the last command
_FIFO_PRIORITY = 50
_SLACK_S = 0.002  # how long a reading is waited for beyond its expected time, or a quarter of a shorter period


def drive(config: Config) -> int:
    """Run the node until it is told to stop; returns the process's exit status.

    Raises:
        Refusal: the robot, the policy or this machine is not what it must be; nothing was armed.
        PolicyFileError: the policy file may not be run.
        ProfileError: the profile may not be used.
    """
    stop = StopRequest(again=False)  # it takes its time to lay the robot down
    runtime = Runtime(config.policy)
    profile = fitting_profile(config.profile, runtime.contract)
    with unblocked() as output:
        if config.fifo:
            _use_fifo()
        link = Link("policy_node", config.namespace)
        try:
            table = robot_table(link, profile, runtime.contract, config.wait_s, lambda: stop)
            # The node knows its namespace, also where a launch file has given it another one.
            with (
                RobotLock(link.node.get_namespace()) as lock,
                closing(WatchdogClient(runtime.contract, output=output, inherited=[lock.fileno()])) as watchdog,
                closing(PolicyNode(config, runtime, link, table, watchdog)) as node,
            ):
                return node.run(stop) if node.connect(stop) else 0
        finally:
            link.close()


class PolicyNode:
    """One policy driving one robot.

    Callbacks (readings, services) run while the control loop waits for its next reading, never beside a tick.
    """

    def __init__(
        self, config: Config, runtime: Runtime, link: Link, table: BindingTable, watchdog: WatchdogClient
    ) -> None:
        self._config = config
        self._runtime, self._contract, self._digest = runtime, runtime.contract, runtime.digest
        self._ageing = [signal.name for signal in self._contract.signals if signal.max_age_s is not None]
        self._link = link
        self._log = link.node.get_logger()
        self._controller = _controller(runtime, config.ramp_s)
        self._mismatches = QosMismatches()
        self._latest = LatestValues(
            self._contract,
            table,
            mismatches=self._mismatches,
            trust_stamps=config.trust_stamps,
            max_latency_s=config.max_latency_s,
        )
        period_s = self._contract.control_period_s
        slack_s = min(_SLACK_S, period_s / 4) if config.slack_s is None else config.slack_s
        self._loop = ControlLoop(period_s=period_s, tick=self._tick, wait=self._wait, slack_s=slack_s)
        self._sections = SectionTimer(("read", "policy", "publish", "record", "report"))
        self._latency = LatencyHistogram()
        self._answered_ns = 0
        self._recording = Recording(config, self._log)
        self._joined_ns = 0
        self._met = ""
        self._arbitration = OwnershipArbitration(link.node)
        self._reported = (State.PASSIVE, None)
        self._silent: tuple[str, ...] = ()
        self._report_due_ns = 0
        self._interface: str | None = None
        commands, mismatches = self._contract.commands, self._mismatches
        self._publishers = {item.name: CommandPublisher(link.node, item, mismatches, table) for item in commands}
        self._watchdog = watchdog
        self._diagnostics = link.node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        if config.profile is None:
            link.node.create_subscription(
                String, "robot_interface", self._on_interface, qos.LATCHED,
                event_callbacks=mismatches.of_subscription("robot_interface"),
            )  # fmt: skip
        self._latest.subscribe(link.node)

    def connect(self, stop: StopRequest) -> bool:
        """Wait for the robot, check that it is the contract's, offer the services; False when told to stop meanwhile.

        Raises:
            Refusal: no robot, another robot, a robot that somebody else commands, or one whose readings do not come.
        """
        deadline_ns = time.monotonic_ns() + int(self._config.wait_s * 1e9)
        if self._config.profile is None:
            self._link.wait_until(deadline_ns, lambda: self._interface is not None or stop)
        if stop:
            return False
        self._check_robot()
        self._check_alone(elders_only=True)
        self._watchdog.give_orders(self._orders())
        self._link.wait_until(deadline_ns, lambda: not self._silent_topics() or stop)
        if stop:
            return False
        if self._silent_topics():
            raise Refusal(f"after {self._config.wait_s:g} s still missing: {'; '.join(self._silent_topics())}")
        for name in ("arm", "start", "stop", "reset"):
            self._link.node.create_service(Trigger, f"~/{name}", self._service(name))
        rate = 1.0 / self._contract.control_period_s
        self._log.info(f"ready: {self._contract.robot} at {rate:g} Hz, policy {self._digest[:12]}, state idle")
        return True

    def run(self, stop: StopRequest) -> int:
        """Tick until told to stop; whatever ends it, the robot comes to rest and the last command is the safe one. The
        exit status is 1 where the log cannot be written.

        Raises:
            Refusal: another node that commands the robot was discovered late, while this one was idle.
        """
        self._joined_ns = time.monotonic_ns() + _JOINING_NS
        self._recording.start(self._controller, self._loop, self._runtime)
        freeze_garbage()
        gc.disable()
        try:
            self._loop.run(lambda: not stop)
        finally:
            state = self._controller.state
            self._come_to_rest()
            self._send_last()
            gc.enable()
            gc.unfreeze()
        self._log.info(f"ended by {stop.signal} in state {state.value}; {self._timing_line()}")
        return self._write_log()

    def _write_log(self) -> int:
        if self._config.log is None:
            return 0
        try:
            write_json(self._config.log, self._summary())
        except OSError as error:
            self._log.error(f"cannot write the log {self._config.log}: {error.strerror}")
            return 1
        return 0

    def close(self) -> None:
        """End what runs beside the loop."""
        if not self._controller.close():
            self._log.warning("an inference hangs; it ends with the process")
        self._recording.close()

    # --- start-up ---

    def _on_interface(self, message: String) -> None:
        self._interface = message.data

    def _orders(self) -> Orders:
        node, profile = self._link.node, self._config.profile
        return Orders(
            contract=self._contract.to_json(),
            profile=None if profile is None else str(profile),
            name=watchdog_name(node.get_name()),
            namespace=node.get_namespace(),
            topics={name: publisher.topic for name, publisher in self._publishers.items()},
            hang_s=patience_s(self._contract, self._config.hang_s),
        )

    def _check_robot(self) -> None:
        if self._config.profile is not None:  # which vouches for the robot, and was checked
            return
        topic = self._link.node.resolve_topic_name("robot_interface")
        if self._interface is None:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            raise Refusal(
                f"no robot: nothing on {topic} within {self._config.wait_s:g} s (ROS_DOMAIN_ID {domain}); "
                "is it running, does --namespace name it, and if it does not say what it is: where is its --profile?"
                f"{self._mismatches.on('robot_interface')}"
            )
        try:
            robot = RobotInterface.from_json(self._interface)
            self._contract.check_robot(robot)
            self._controller.hold_to(robot.safety)
        except ContractMismatch as error:
            raise Refusal(str(error)) from error
        except ContractError as error:
            raise Refusal(f"{topic} does not hold a robot interface: {error}") from error

    def _check_alone(self, *, elders_only: bool = False) -> None:
        problem = self._company(elders_only=elders_only)
        if problem:
            raise Refusal(problem)

    def _company(self, *, elders_only: bool) -> str:
        """Who else sends the robot's commands, as a sentence; empty for nobody, or for policy nodes that came later
        where only elders are asked for: those leave of themselves."""
        for publisher in self._publishers.values():
            others = other_publishers(self._link.node, publisher.topic)
            if others and not (elders_only and self._arbitration.before(len(others))):
                return f"{', '.join(others)} already sends commands on {publisher.topic}; stop it first"
        return ""

    def _silent_topics(self) -> list[str]:
        silent = self._latest.missing("robot")
        for name, publisher in self._publishers.items():
            if not publisher.heard:
                silent.append(f"somebody who takes {name} (topic {publisher.topic}{publisher.unheard})")
        return silent or self._watchdog_problems()

    def _watchdog_problems(self) -> list[str]:
        """Why it cannot act yet. Until its publishers have been discovered by name, they count as a stranger's."""
        if problem := self._watchdog.problem():
            return [problem]
        name = watchdog_name(self._link.node.get_fully_qualified_name())
        topics = [publisher.topic for publisher in self._publishers.values()]
        return [f"{name} on {topic}" for topic in topics if name not in publishers(self._link.node, topic)]

    # --- services ---

    def _service(self, name: str) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        def serve(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                if name == "arm":
                    self._check_ready()
                getattr(self._controller, name)(time.monotonic_ns())
            except (TransitionError, Refusal) as error:
                response.success, response.message = False, str(error)
            else:
                response.success, response.message = True, self._controller.state.value
            return response

        return serve

    def _check_ready(self) -> None:
        """Raise `Refusal` when arming would only lead to a fault, or to two nodes that command one robot, or when
        another robot has taken the place of the one that was checked, or when nobody would be left to stop it."""
        self._check_robot()
        if problems := self._watchdog_problems():
            raise Refusal(f"cannot arm: {'; '.join(problems)}")
        self._check_alone()
        missing = self._latest.missing("operator")
        if missing:
            raise Refusal(f"cannot arm: never received {'; '.join(missing)}")
        if self._controller.state is State.PASSIVE:
            now_ns = time.monotonic_ns()
            ages_s = self._latest.ages_s(now_ns)
            late = self._too_old(ages_s) or self._latest.times.problem(now_ns)
            problem = late or self._controller.problem(self._latest.signals, ages_s) or self._latest.gravity_problem()
            if problem:
                raise Refusal(f"cannot arm: {problem}")

    # --- the loop ---

    def _wait(self, timeout_s: float) -> bool:
        return self._link.wait(timeout_s, self._latest.take_reading)

    def _tick(self, now_ns: int) -> None:
        self._sections.begin()
        self._latest.expire(now_ns)
        ages_s = self._latest.ages_s(now_ns)
        late = self._too_old(ages_s) or self._latest.times.problem(now_ns)
        self._trip_on(self._watchdog.problem() or self._latest.take_rejection() or late, now_ns)
        self._sections.end("read")
        commands = self._controller.tick(self._latest.signals, ages_s, now_ns)
        self._sections.end("policy")
        latency_ns = 0
        self._watchdog.exchange(self._drives(), commands)
        if self._drives():
            self._publish(commands)
            latency_ns = self._record_latency()
        self._latest.times.answer(time.monotonic_ns(), self._loop.late_ns)
        self._sections.end("publish")
        self._recording.tick(now_ns, self._latest.signals, ages_s, commands if self._drives() else None, latency_ns)
        self._sections.end("record")
        self._report(now_ns)
        self._sections.end("report")

    def _drives(self) -> bool:
        """Whether this node commands the robot. An idle one must not: somebody else may be flying it."""
        return self._controller.state is not State.PASSIVE

    def _trip_on(self, cause: str | None, now_ns: int) -> None:
        if cause and self._controller.state in ACTIVE:
            self._controller.fault(now_ns, cause)

    def _too_old(self, ages_s: Mapping[str, float]) -> str | None:
        limit = self._config.timeout_s
        if limit is None or not self._ageing:
            return None
        name = max(self._ageing, key=lambda name: ages_s[name])
        return f"{name}: stale, {ages_s[name]:.3g} s old (at most {limit:g} s)" if ages_s[name] > limit else None

    def _publish(self, commands: Mapping[str, np.ndarray]) -> None:
        """Send commands, unless the watchdog commands the robot. When that has ended, the robot rests and stays so."""
        if self._watchdog.took_over:
            commands = self._controller.safe_commands if self._watchdog.ended else {}
        for name, values in commands.items():
            self._publishers[name].send(values)

    def _record_latency(self) -> int:
        """Of this tick, ns; 0 where it answers no reading of its own."""
        if self._latest.triggered_ns == self._answered_ns:
            return 0
        self._answered_ns = self._latest.triggered_ns
        latency_ns = time.monotonic_ns() - self._answered_ns
        self._latency.record(latency_ns)
        return latency_ns

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

    # --- what it says of itself ---

    def _report(self, now_ns: int) -> None:
        now, silent = (self._controller.state, self._controller.cause), self._latest.expired
        new_state, new_silence = now != self._reported, silent != self._silent
        if not new_state and not new_silence and now_ns < self._report_due_ns:
            return
        self._report_due_ns = now_ns + _DIAGNOSTICS_PERIOD_NS
        self._reported, self._silent = now, silent
        self._diagnostics.publish(self._diagnostic_message())
        if new_state:
            self._log_state()
        if new_silence:
            self._log.warning(f"{' and '.join(silent)} silent: zero in its place" if silent else "all topics are heard")
        if not new_state and not new_silence:
            self._look_around(now_ns)
            self._recording.look()
            if self._watchdog.ended and not self._drives():
                self._watchdog.restart()
            gc.collect(1)  # what little the callbacks leave behind, at a known moment after the command has gone out

    def _look_around(self, now_ns: int) -> None:
        """Leave a robot that somebody drove already, and stop one that somebody else has begun to command. A publisher
        is discovered before its node has told when it came: hence two looks."""
        if now_ns >= self._joined_ns and not self._drives():
            return
        before, self._met = self._met, self._company(elders_only=True)
        if not (before and self._met):
            return
        if not self._drives():
            raise Refusal(self._met)
        self._trip_on(self._met, now_ns)

    def _log_state(self) -> None:
        state, cause = self._reported
        text = f"{state.value}: {cause}" if cause else state.value
        if state is State.FAULT:  # rclpy ties a severity to the line of the call
            self._log.error(f"{text}{self._held_up()}")
        else:
            self._log.info(text)

    def _held_up(self) -> str:
        """Whether readings may have been late because this machine was."""
        held_up_s = self._loop.held_up_s
        if held_up_s < self._contract.control_period_s:
            return ""
        return f" (this machine was busy and woke the node up to {held_up_s:.2g} s late)"

    def _diagnostic_message(self) -> DiagnosticArray:
        return diagnostics(
            self._link.now(),
            robot=self._contract.robot,
            state=self._controller.state,
            cause=self._controller.cause,
            values={
                "policy_sha256": self._digest,
                "cycles": self._loop.cycles,
                "missed_readings": self._loop.missed_readings,
                "overruns": self._loop.overruns,
                "held_up_ms": round(self._loop.held_up_s * 1e3, 1),
                "latency_p50_us": round(self._latency.percentile_ns(50) / 1e3),
                "latency_p99_us": round(self._latency.percentile_ns(99) / 1e3),
                **self._controller.counters,
                **self._latest.counters,
                "incompatible_qos": str(self._mismatches),
                "silent_topics": " ".join(self._silent),
                **self._recording.counters,
            },
        )

    def _timing_line(self) -> str:
        latency = self._latency.summary()
        return (
            f"{self._loop.cycles} cycles, {self._loop.missed_readings} late readings, {self._loop.overruns} overruns, "
            f"reading to command p50 {latency['p50_us']:.0f} us, p99 {latency['p99_us']:.0f} us"
        )

    def _summary(self) -> dict[str, object]:
        return {
            "robot": self._contract.robot,
            "policy_sha256": self._digest,
            "state": self._controller.state.value,
            "cause": self._controller.cause,
            **self._controller.counters,
            **self._latest.counters,
            "loop": self._loop.summary(),
            "sections": self._sections.summary(),
            "reading_to_command": self._latency.summary(),
        }


def _controller(runtime: Runtime, ramp_s: float) -> PolicyController | ChunkController:
    """The safety chain that the policy drives, step by step or by chunks."""
    if runtime.contract.chunk is None:
        return PolicyController(runtime, ramp_s=ramp_s)
    return ChunkController(WorkerThread(runtime), conditions=runtime.conditions(), ramp_s=ramp_s)


def _use_fifo() -> None:
    """Real-time scheduling for this thread and those it starts later: the middleware's receive the readings."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
    except PermissionError as error:
        raise Refusal(
            "--fifo needs the permission for real-time scheduling: add `<user> - rtprio 90` to "
            "/etc/security/limits.conf and log in again, or leave --fifo out"
        ) from error
