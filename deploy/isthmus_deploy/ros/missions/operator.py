"""The operator at work, whatever the mission: in a process of its own, so that recording never disturbs the control
loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from isthmus_deploy.contracts.robot_interface import CommandInterface, RobotInterface, SignalInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.binding import BadMessage
from isthmus_deploy.ros.bindings.messages import read_quaternion, read_vector
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.missions.goal_publisher import GoalPublisher
from isthmus_deploy.ros.missions.log import MissionLog, Series
from isthmus_deploy.ros.missions.mission import Judgement, Mission, Options
from isthmus_deploy.ros.node.status import read_diagnostics
from isthmus_deploy.ros.realtime import freeze_garbage
from isthmus_deploy.ros.ros2 import Link, Refusal, StopRequest
from isthmus_deploy.ros.truth import Truth
from isthmus_deploy.timing.machine_load import machine_load

NODE = "policy_node"
_SERVICE_S = 3.0
_STANDBY_S = 10.0  # a robot that stands up takes one or two
_ASK_AGAIN_S = 0.05
_STOPPED_S = 0.5
_REST_S = 5.0
_ENDED = ("fault", "stopped")


def carry_out(mission: Mission, options: Options) -> int:
    """Carry out the mission; returns 0 when it succeeded, 1 when it failed.

    Raises:
        Refusal: the node or the robot is not there or not made for the mission, or the node does not arm.
    """
    stop = StopRequest()
    link = Link("mission", options.namespace)
    try:
        operator = Operator(mission, options, link)
        operator.meet(stop)
        operator.look_around()
        freeze_garbage()
        operator.call("arm")
        failure = operator.start(stop) or operator.lead(stop)
        return operator.conclude(failure)
    finally:
        link.close()


class Operator:
    """Asks what the mission asks, watches truth, readings and diagnostics, records all of it."""

    def __init__(self, mission: Mission, options: Options, link: Link) -> None:
        self._mission, self._options, self._link = mission, options, link
        self._say = link.node.get_logger()
        self._truth = Truth()
        self._interface: str | None = None
        self._armed = self._started = False
        self._state = self._cause = self._phase = ""
        self._log = MissionLog(asked={})
        node = link.node
        self._services = {name: node.create_client(Trigger, f"{NODE}/{name}") for name in ("arm", "start", "stop")}
        node.create_subscription(String, "robot_interface", self._on_interface, qos.LATCHED)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def meet(self, stop: StopRequest) -> None:
        """Wait for robot and node. Raises Refusal when one of them does not come, or the robot does not fit."""
        deadline_ns = time.monotonic_ns() + int(self._options.wait_s * 1e9)
        self._link.wait_until(deadline_ns, lambda: stop or self._interface is not None)
        if self._interface is not None:
            self._join(_parsed(self._interface))
            self._link.wait_until(deadline_ns, lambda: stop or not self._missing())
        missing = self._missing() if self._interface is not None else ["topic robot_interface"]
        if stop or missing:
            reason = f"{stop.signal} while waiting" if stop else f"after {self._options.wait_s:g} s still missing"
            raise Refusal(f"{reason}: {', '.join(missing) or 'nothing'}")

    def look_around(self) -> None:
        """Say, and record, when this machine is too busy for a robot in real time."""
        if note := machine_load(wait=self._link.wait).real_time_note():
            self._note(note)

    def call(self, name: str) -> None:
        """Ask the node for `arm` or `stop`. Raises Refusal: no answer, or a no."""
        answer = self._ask_node(name)
        if not answer.success:
            raise Refusal(f"{NODE} refused to {name}: {answer.message}")
        if name == "arm":
            self._armed, self._log.zero_s = True, time.monotonic()
        self._note(f"{name}: {answer.message}")

    def start(self, stop: StopRequest) -> str | None:
        """Start as soon as stand-by is reached, which the node's answer tells; returns why not, or None."""
        deadline_s = time.monotonic() + _STANDBY_S
        while not (answer := self._ask_node("start")).success:
            if failure := self._interruption(stop):
                return failure
            if time.monotonic() > deadline_s:
                return f"{NODE} refuses to start: {answer.message}"
            self._link.wait(_ASK_AGAIN_S)
        self._log.zero_s = time.monotonic()
        self._started = True
        self._mission.begin(self._truth)
        self._note(f"start: {answer.message}")
        return None

    def lead(self, stop: StopRequest) -> str | None:
        """Ask for what the mission asks until it is over; returns why it ended early, or None."""
        period_ns = int(self._mission.period_s * 1e9)
        next_ns = time.monotonic_ns()
        while (asked := self._mission.ask(self._time_s(), self._truth)) is not None:
            failure = self._interruption(stop) or self._mission.failure(self._truth)
            if failure:
                return failure
            if self._mission.phase != self._phase:
                self._phase = self._mission.phase
                self._note(self._phase)
            self._ask(asked)
            next_ns = max(next_ns + period_ns, time.monotonic_ns())
            self._link.wait_until(next_ns)
        return None

    def conclude(self, failure: str | None) -> int:
        """Stop the robot, wait until it rests, judge, record; returns the process's exit status."""
        if self._state not in _ENDED:
            self.call("stop")
        self._link.wait(_STOPPED_S, lambda: self._state in _ENDED)
        self._link.wait(_REST_S, lambda: self._mission.at_rest(self._truth))
        judgement = self._mission.judge(self._log, self._truth)
        failures = [failure] if failure else judgement.failures
        self._record(judgement, failures)
        for line in judgement.lines:
            self._say.info(line)
        if held := self._held_goals():
            self._say.warning(f"in {held} control periods more was asked than the policy was trained for")
        for line in failures:
            self._say.error(f"{self._mission.name} failed: {line}")
        if not failures:
            self._say.info(f"{self._mission.name} succeeded")
        return 1 if failures else 0

    # --- the robot ---

    def _join(self, robot: RobotInterface) -> None:
        """Listen and speak to this robot. Raises Refusal where it is not made for the mission."""
        node, mission = self._link.node, self._mission
        mission.meet(robot)
        self._goals = GoalPublisher(node, [signal for signal in robot.signals if signal.name in mission.asks])
        self._log.asked = mission.columns
        self._asked = mission.rest(self._truth)
        node.create_subscription(Odometry, "ground_truth", self._on_truth, qos.SENSOR)
        if mission.needs_success:
            node.create_subscription(Bool, "task_succeeded", self._on_success, qos.SENSOR)
        for command in robot.commands:
            self._record_command(command)
        for signal in robot.signals:
            if signal.name in mission.watches:
                self._watch(signal)

    def _record_command(self, command: CommandInterface) -> None:
        binding = bindings().command(command)
        read, series = binding.reader(command), Series(order=command.order)
        self._log.commands[command.name] = series

        def record(message: Any) -> None:
            if self._armed:
                series.samples.append((time.monotonic(), *read(message).tolist()))

        self._link.node.create_subscription(binding.message, binding.topic, record, qos.COMMAND)

    def _watch(self, signal: SignalInterface) -> None:
        source, series = bindings().signal(signal).sources[0], Series(order=signal.order)
        self._log.readings[signal.name] = series
        callback = self._watcher(signal, source.reader(signal), series)
        self._link.node.create_subscription(source.topic.message, source.topic.name, callback, source.topic.qos)

    def _watcher(self, signal: SignalInterface, read: Callable, series: Series) -> Callable[[Any], None]:
        value = np.zeros(signal.shape)

        def watch(message: Any) -> None:
            try:
                read(message, value)
            except BadMessage as error:
                self._say.warning(str(error), throttle_duration_sec=1.0)
                return
            self._mission.readings[signal.name] = value
            if self._armed:
                series.samples.append((time.monotonic(), *value.tolist()))
            if not self._mission.judged_by_truth:
                self._sample()

        return watch

    # --- what arrives ---

    def _on_interface(self, message: String) -> None:
        self._interface = message.data

    def _on_truth(self, message: Odometry) -> None:
        truth = self._truth
        read_vector(message.pose.pose.position, truth.position)
        read_quaternion(message.pose.pose.orientation, truth.orientation)
        read_vector(message.twist.twist.linear, truth.linear_velocity)
        read_vector(message.twist.twist.angular, truth.angular_velocity)
        if self._mission.judged_by_truth:
            self._sample()

    def _on_success(self, message: Bool) -> None:
        self._mission.succeeded = message.data

    def _sample(self) -> None:
        """What is judged by has come: record it, and before the start ask the robot to stay."""
        truth = self._truth
        if not self._started:
            self._ask(self._mission.rest(truth))
        if self._armed:
            state = (truth.position, truth.orientation, truth.linear_velocity, truth.angular_velocity, self._asked)
            self._log.truth.append((time.monotonic(), *(value for part in state for value in part.tolist())))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = read_diagnostics(message)
        if values is None:
            return
        self._log.diagnostics.append((time.monotonic(), values))
        if values["state"] != self._state:
            self._note(f"node {values['state']}" + (f": {values['cause']}" if values["cause"] else ""))
        self._state, self._cause = values["state"], values["cause"]

    # --- small things ---

    def _ask(self, asked: np.ndarray) -> None:
        self._asked = asked
        self._goals.send(self._mission.goals(asked), self._link.now())

    def _ask_node(self, name: str) -> Trigger.Response:
        future = self._services[name].call_async(Trigger.Request())
        if not self._link.wait(_SERVICE_S, future.done):
            raise Refusal(f"{NODE} does not answer to {name} within {_SERVICE_S:g} s")
        answer = future.result()
        assert answer is not None
        return answer

    def _missing(self) -> list[str]:
        missing = [f"service {client.srv_name}" for client in self._services.values() if not client.service_is_ready()]
        if self._mission.judged_by_truth and not self._truth.known:
            missing.append("topic ground_truth")
        if self._mission.needs_success and self._mission.succeeded is None:
            missing.append("topic task_succeeded")
        missing += [f"readings of {name}" for name in self._mission.watches if name not in self._mission.readings]
        return missing + [f"somebody who takes {topic}" for topic in self._goals.unheard]

    def _held_goals(self) -> int:
        """Control periods in which the node held a goal to its trained range, as far as diagnostics tell."""
        counts = [int(values["clamped_goals"]) for _, values in self._log.diagnostics]
        return counts[-1] - counts[0] if counts else 0

    def _interruption(self, stop: StopRequest) -> str | None:
        if stop:
            return f"{stop.signal}: the operator ended it"
        return f"node {self._state}: {self._cause}" if self._armed and self._state in _ENDED else None

    def _record(self, judgement: Judgement, failures: list[str]) -> None:
        if self._options.log:
            summary = {"success": not failures, "failures": failures, **judgement.facts}
            self._log.save(self._options.log, self._mission.name, summary)

    def _time_s(self) -> float:
        return time.monotonic() - self._log.zero_s if self._started else 0.0

    def _note(self, text: str) -> None:
        self._log.events.append((time.monotonic(), text))
        self._say.info(f"{self._time_s():5.1f} s  {text}")


def _parsed(interface: str) -> RobotInterface:
    try:
        return RobotInterface.from_json(interface)
    except ContractError as error:
        raise Refusal(f"topic robot_interface does not hold a robot interface: {error}") from error
