"""Bindings of other packages: how they are found, what they carry, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import standing_policy
from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.ros.bindings.binding import CommandBinding, RosBindings, SignalBinding, Topic, plainly
from isthmus_deploy.ros.bindings.body import BINDINGS as BODY
from isthmus_deploy.ros.bindings.table import BindingTable, bindings, check_contract
from isthmus_deploy.ros.qos import SENSOR
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.ros2 import Refusal

WIND = """
from geometry_msgs.msg import PointStamped
from isthmus_deploy.ros.bindings.binding import RosBindings, SignalBinding, Topic, plainly
from isthmus_deploy.ros.qos import SENSOR

TOPIC = Topic(name="wind", message=PointStamped, qos=SENSOR, side="robot")

def read(message, out):
    out[:] = message.point.x, message.point.y

WIND = SignalBinding(unit="m/s", frame="body", order=("x", "y"), sources=(plainly(TOPIC, read),))
BINDINGS = RosBindings(signals={"wind": WIND})
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """`install(package, code, value)`: a distribution with a module `package` that registers `value` of it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(package: str, code: str, value: str = "BINDINGS") -> None:
        (tmp_path / f"{package}.py").write_text(code)
        facts = tmp_path / f"{package}-3.1.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 3.1\n")
        (facts / "entry_points.txt").write_text(f"[isthmus.ros_bindings]\nown = {package}:{value}\n")
        monkeypatch.delitem(sys.modules, package, raising=False)
        bindings.cache_clear()

    yield write
    sys.modules.pop("weather", None)
    bindings.cache_clear()


@pytest.fixture
def windy(contract: Contract) -> Contract:
    """A policy that reads the wind, and gives the quadruped's command."""
    order = ("x", "y")
    wind = dataclasses.replace(
        contract.signals[0], name="wind", unit="m/s", frame="body", order=order, shape=(2,), max_jump=(9.0, 9.0)
    )
    return dataclasses.replace(standing_policy.contract(), signals=(wind,))


def refusal() -> str:
    with pytest.raises(Refusal) as caught:
        bindings()
    return str(caught.value)


def test_a_signal_of_another_package_is_carried(install, windy: Contract):
    with pytest.raises(Refusal, match="no topic gives wind"):
        check_contract(windy)
    install("weather", WIND)
    check_contract(windy)
    latest = LatestValues(windy)
    message = PointStamped()
    message.point.x, message.point.y = 3.0, -1.0
    latest.receive(bindings().signals["wind"].sources[0].topic, message)
    assert latest.signals["wind"].tolist() == [3.0, -1.0]
    assert not latest.take_reading(), "its topic starts no control period"


def test_what_the_project_ships_is_registered_like_anything_else(install):
    install("weather", WIND)
    assert set(bindings("weather").signals) == {"wind"}
    assert "wind" not in bindings("isthmus").signals
    assert {"joint_position", "orientation", "yaw_rate_command"} <= set(bindings("isthmus").signals)
    assert {"rotor_speed", "joint_position_target"} <= set(bindings("isthmus").commands)


@pytest.mark.parametrize(
    ("code", "value", "parts"),
    [
        ("import no_such_library", "BINDINGS", ("own = weather:BINDINGS", "no_such_library", "mend or uninstall")),
        ("BINDINGS = 1 + 'one'", "BINDINGS", ("own = weather:BINDINGS", "TypeError", "mend or uninstall")),
        ("BINDINGS = (", "BINDINGS", ("own = weather:BINDINGS", "SyntaxError", "mend or uninstall")),
        (WIND, "BINDING", ("BINDING",)),
        (WIND, "WIND", ("SignalBinding", "RosBindings")),
        (WIND + 'BINDINGS.signals["wind"] = TOPIC', "BINDINGS", ("'wind'", "Topic", "SignalBinding")),
    ],
    ids=["an import fails", "a type error", "no Python", "is not there", "another type", "a member of another type"],
)
def test_what_cannot_be_had_stops_only_who_asks_for_it(
    install, windy: Contract, code: str, value: str, parts: tuple[str, ...]
):
    install("weather", code, value)
    check_contract(standing_policy.contract())
    with pytest.raises(Refusal, match="no topic gives wind; known signals: ") as caught:
        check_contract(windy)
    for part in ("weather 3.1", "joint_position", *parts):
        assert part in str(caught.value)
    with pytest.raises(Refusal, match=r"weather 3\.1"):
        bindings("weather")


@pytest.mark.parametrize(
    ("old", "new"), [('{"wind"', '{"orientation"'), ('name="wind"', 'name="imu"')], ids=["name taken", "topic taken"]
)
def test_a_contradiction_names_both_packages(install, old: str, new: str):
    install("weather", WIND.replace(old, new))
    message = refusal()
    for part in (new.split('"')[1], "isthmus", "weather 3.1"):
        assert part in message


def test_a_package_without_bindings_is_told():
    with pytest.raises(Refusal, match="nobody has no entry points"):
        bindings("nobody")


def test_two_commands_on_messages_of_their_own():
    """A gripper that takes a number, legs that take joint states: what is written is read back."""
    gripper = CommandBinding(
        topic="gripper", unit="m", message=Float64,
        writer=lambda command: lambda values: Float64(data=float(values[0])),
        reader=lambda command: lambda message: np.array([message.data]),
    )  # fmt: skip
    legs = CommandBinding(
        topic="legs", unit="rad", message=JointState,
        writer=lambda command: lambda values: JointState(name=list(command.order), position=values.tolist()),
        reader=lambda command: lambda message: np.array(message.position),
    )  # fmt: skip
    table = BindingTable({"arm": RosBindings(commands={"gripper": gripper, "legs": legs}), "isthmus": BODY})
    (command,) = standing_policy.contract().commands
    for binding, values in ((table.commands["gripper"], np.array([0.03])), (table.commands["legs"], np.arange(12.0))):
        message = binding.writer(command)(values)
        assert isinstance(message, binding.message)
        assert binding.reader(command)(message).tolist() == values.tolist()


def test_the_first_signal_whose_topic_may_starts_the_period(contract: Contract):
    def carried(name: str, *, triggers: bool) -> SignalBinding:
        topic = Topic(name=name, message=PointStamped, qos=SENSOR, side="robot", triggers=triggers)
        return SignalBinding(
            unit="rad", frame="joint", order=None, sources=(plainly(topic, lambda message, out: out.fill(1.0)),)
        )

    names = {"slow": False, "first": True, "second": True}
    table = BindingTable({"a": RosBindings(signals={n: carried(n, triggers=t) for n, t in names.items()})})
    signals = tuple(dataclasses.replace(contract.signals[0], name=name) for name in names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isthmus_deploy.ros.readings.latest_values.bindings", lambda: table)
        latest = LatestValues(dataclasses.replace(contract, signals=signals))
        for name in ("slow", "second"):
            latest.receive(table.signals[name].sources[0].topic, PointStamped())
        assert not latest.take_reading()
        latest.receive(table.signals["first"].sources[0].topic, PointStamped())
        assert latest.take_reading()


def test_a_goal_that_falls_silent_as_something_untrained_is_refused():
    """Silence on cmd_vel is zero: a policy that was trained to run from 0.5 m/s on would go on at 0.5 m/s."""
    contract = standing_policy.contract()
    place = [signal.name for signal in contract.signals].index("linear_velocity_command")

    def trained(low: float) -> Contract:
        signals = list(contract.signals)
        signals[place] = dataclasses.replace(signals[place], trained_minimum=(low, -0.3), trained_maximum=(1.0, 0.3))
        return dataclasses.replace(contract, signals=tuple(signals))

    check_contract(trained(-0.5))
    with pytest.raises(Refusal, match="linear_velocity_command: cmd_vel falls silent as zero"):
        check_contract(trained(0.5))


def test_bindings_need_no_torch():
    code = (
        "import sys; from isthmus_deploy.ros.bindings.table import bindings; "
        "print(len(bindings('isthmus').signals) > 5, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["True", "False"], result.stderr
