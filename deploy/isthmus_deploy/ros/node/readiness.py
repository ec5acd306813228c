"""Whether a robot may be armed: is it the contract's, is it heard and alone, and is somebody there to stop it?"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from std_msgs.msg import String

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.robot_interface import ContractMismatch, RobotInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.command_publisher import CommandPublisher
from isthmus_deploy.ros.controllers import ControllerWatch
from isthmus_deploy.ros.node.ownership import OwnershipArbitration, other_publishers, publishers
from isthmus_deploy.ros.node.policy_node import Config
from isthmus_deploy.ros.qos_mismatches import QosMismatches
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.ros2 import Link, Refusal
from isthmus_deploy.ros.watchdog.client import WatchdogClient, watchdog_name
from isthmus_deploy.safety.chain import SafetyChain
from isthmus_deploy.safety.supervisor import State


class Readiness:
    """What a policy node knows of the robot and of who else is there.

    Args:
        config: The node's.
        contract: The policy's.
        link: The node.
        chain: It is held to what the robot announces.
        latest: The newest readings.
        commands: By name, on their topics.
        watchdog: It must be able to act.
        controllers: They must still be those that were asked.
        mismatches: Collects topics that never meet.
    """

    def __init__(
        self,
        config: Config,
        contract: Contract,
        *,
        link: Link,
        chain: SafetyChain,
        latest: LatestValues,
        commands: Mapping[str, CommandPublisher],
        watchdog: WatchdogClient,
        controllers: ControllerWatch,
        mismatches: QosMismatches,
    ) -> None:
        self._config, self._contract, self._link, self._chain = config, contract, link, chain
        self._latest, self._commands, self._watchdog, self._mismatches = latest, commands, watchdog, mismatches
        self._controllers = controllers
        self._ageing = [signal.name for signal in contract.signals if signal.max_age_s is not None]
        self._arbitration = OwnershipArbitration(link.node)
        self._interface: str | None = None
        if config.profile is None:
            link.node.create_subscription(
                String, "robot_interface", self._on_interface, qos.LATCHED,
                event_callbacks=mismatches.of_subscription("robot_interface"),
            )  # fmt: skip

    @property
    def described(self) -> bool:
        """Whether it is known what the robot is: by what it says, or by its profile, which vouches for it."""
        return self._config.profile is not None or self._interface is not None

    def check_robot(self) -> None:
        """Raise `Refusal` for a robot that is not the contract's, or says nothing."""
        if self._config.profile is not None:  # it was checked
            return
        topic = self._link.node.resolve_topic_name("robot_interface")
        if self._interface is None:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            raise Refusal(
                f"no robot: nothing on {topic} so far (ROS_DOMAIN_ID {domain}); "
                "is it running, does --namespace name it, and if it does not say what it is: where is its --profile?"
                f"{self._mismatches.on('robot_interface')}"
            )
        try:
            robot = RobotInterface.from_json(self._interface)
            self._contract.check_robot(robot)
            self._chain.hold_to(robot.safety)
        except ContractMismatch as error:
            raise Refusal(str(error)) from error
        except ContractError as error:
            raise Refusal(f"{topic} does not hold a robot interface: {error}") from error

    def check_alone(self, *, elders_only: bool = False) -> None:
        """Raise `Refusal` where somebody else sends the robot's commands; `company` says who counts."""
        problem = self.company(elders_only=elders_only)
        if problem:
            raise Refusal(problem)

    def company(self, *, elders_only: bool) -> str:
        """Who else sends the robot's commands, as a sentence; empty for nobody, or for policy nodes that came later
        where only elders are asked for: those leave of themselves."""
        for publisher in self._commands.values():
            others = other_publishers(self._link.node, publisher.topic)
            if others and not (elders_only and self._arbitration.before(len(others))):
                return f"{', '.join(others)} already sends commands on {publisher.topic}; stop it first"
        return ""

    def silent_topics(self) -> list[str]:
        """What is still missing before the robot could be driven."""
        silent = self._latest.missing("robot")
        for name, publisher in self._commands.items():
            if not publisher.heard:
                silent.append(f"somebody who takes {name} (topic {publisher.topic}{publisher.unheard})")
        return silent or self._watchdog_problems()

    def check_ready(self) -> None:
        """Raise `Refusal` when arming would only lead to a fault, or to two nodes that command one robot, or when
        another robot has taken the place of the one that was checked, or when nobody would be left to stop it."""
        self.check_robot()
        self.check_alone()
        if changed := self._controllers.problem():
            raise Refusal(f"cannot arm: {changed}")
        if silent := self.silent_topics():
            raise Refusal(f"cannot arm: still missing: {'; '.join(silent)}")
        if missing := self._latest.missing("operator"):
            raise Refusal(f"cannot arm: never received {'; '.join(missing)}")
        if self._chain.state is State.PASSIVE:
            now_ns = time.monotonic_ns()
            ages_s = self._latest.ages_s(now_ns)
            late = self.late(now_ns, ages_s)
            problem = late or self._chain.problem(self._latest.signals, ages_s) or self._latest.gravity_problem()
            if problem:
                raise Refusal(f"cannot arm: {problem}")

    def late(self, now_ns: int, ages_s: Mapping[str, float]) -> str | None:
        """Which readings come too late, by what the person asks for or by what the policy was trained with; None for
        none."""
        return self._too_old(ages_s) or self._latest.times.problem(now_ns)

    def _too_old(self, ages_s: Mapping[str, float]) -> str | None:
        limit = self._config.timeout_s
        if limit is None or not self._ageing:
            return None
        name = max(self._ageing, key=lambda name: ages_s[name])
        return f"{name}: stale, {ages_s[name]:.3g} s old (at most {limit:g} s)" if ages_s[name] > limit else None

    def _watchdog_problems(self) -> list[str]:
        """Why it cannot act yet. Until its publishers have been discovered by name, they count as a stranger's."""
        if problem := self._watchdog.problem():
            return [problem]
        name = watchdog_name(self._link.node.get_fully_qualified_name())
        topics = [publisher.topic for publisher in self._commands.values()]
        return [f"{name} on {topic}" for topic in topics if name not in publishers(self._link.node, topic)]

    def _on_interface(self, message: String) -> None:
        self._interface = message.data
