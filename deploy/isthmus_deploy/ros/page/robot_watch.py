"""Which robot it is, by what it says of itself or by its profile, and its readings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from std_msgs.msg import String

from isthmus_deploy.contracts.robot_interface import RobotInterface, SignalInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.policy import policy_file
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.profiled import ProfiledTable
from isthmus_deploy.ros.bindings.table import BindingTable, bindings
from isthmus_deploy.ros.page import bars, markup
from isthmus_deploy.ros.page.readings import Readings
from isthmus_deploy.ros.profiles import fitting_profile
from isthmus_deploy.ros.ros2 import Link


class RobotWatch:
    """Hears a robot's readings as soon as it is known.

    Args:
        link: To the network.
        profile: Profile and policy file of a robot that does not say what it is; None for one that does.

    Raises:
        ProfileError: the profile may not be used.
        PolicyFileError: the policy file may not be used.
        Refusal: they do not fit each other.
    """

    def __init__(self, link: Link, profile: tuple[Path, Path] | None) -> None:
        self._link = link
        self._readings: Readings | None = None
        self._announced = ""
        self._note = ""
        self.name = ""
        """The robot's name; empty until it is known."""
        if profile is not None:
            self._hear_by_profile(*profile)
            return
        topic = link.node.resolve_topic_name("robot_interface")
        self._note = f"Nobody says on {topic} what the robot is. One that cannot is shown by --profile PROFILE POLICY."
        link.node.create_subscription(String, "robot_interface", self._on_interface, qos.LATCHED)

    def markup(self) -> str:
        """Its readings as HTML, or why there are none."""
        if self._readings is None:
            return markup.note(self._note)
        return bars.cards(self._readings.signals, self._readings.look())

    def _hear_by_profile(self, path: Path, policy: Path) -> None:
        contract = policy_file.read(policy).contract
        profile = fitting_profile(path, contract)
        assert profile is not None
        self.name = contract.robot
        self._hear(contract.signals, ProfiledTable(bindings(), profile, {}))

    def _on_interface(self, message: String) -> None:
        if message.data == self._announced:
            return
        self._announced = message.data
        self._forget()
        try:
            robot = RobotInterface.from_json(message.data)
        except ContractError as error:
            self._note = f"What is said on robot_interface is no robot interface: {error}"
            return
        self.name = robot.robot
        self._hear(robot.signals, bindings())

    def _hear(self, signals: Sequence[SignalInterface], table: BindingTable) -> None:
        self._readings = Readings(self._link.node, signals, table)

    def _forget(self) -> None:
        if self._readings is not None:
            self._readings.close()
        self._readings, self.name = None, ""
