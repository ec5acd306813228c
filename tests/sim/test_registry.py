"""What other packages register: found by name, imported when asked for, and refused in one line that names them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus_sim.description import RobotDescription
from isthmus_sim.engines import ENGINES
from isthmus_sim.registry import Registry, RegistryError
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS

GROUP = "isthmus.fruits"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`install(package, entries, code)`: a distribution and a module of that name on the path, gone afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str, entries: dict[str, str], code: str = "", group: str = GROUP) -> None:
        monkeypatch.delitem(sys.modules, package, raising=False)
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2.3\n")
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")

    return put


def fruits() -> Registry[str]:
    return Registry(GROUP, "fruit", str)


def test_members_are_found_by_name_imported_when_asked_for_and_kept(install: Any):
    install("orchard", {"apple": "orchard:APPLE", "pear": "orchard:PEAR"}, "APPLE, PEAR = 'red', ['green'][0]")
    registry = fruits()
    assert sorted(registry) == ["apple", "pear"]
    assert len(registry) == 2
    assert "apple" in registry
    assert "orchard" not in sys.modules, "who lists does not import"
    assert registry["apple"] == "red"
    assert registry["apple"] is registry["apple"]
    origin = registry.origin("pear")
    assert (origin.package, origin.version) == ("orchard", "1.2.3")


def test_an_unknown_name_is_refused_with_the_known(install: Any):
    install("orchard", {"apple": "orchard:APPLE", "pear": "orchard:PEAR"})
    for ask in (lambda: fruits()["plum"], lambda: fruits().origin("plum")):
        with pytest.raises(RegistryError, match=r"'plum'.*apple, pear"):
            ask()


def test_a_name_that_two_packages_register_is_refused_with_both(install: Any):
    install("orchard", {"apple": "orchard:APPLE"}, "APPLE = 'red'")
    install("market", {"apple": "market:APPLE"}, "APPLE = 'green'")
    with pytest.raises(RegistryError, match=r"'apple'.*twice") as refusal:
        fruits()["apple"]
    assert all(name in str(refusal.value) for name in ("orchard", "market"))


@pytest.mark.parametrize(
    ("value", "code", "names"),
    [
        ("orchard:APPLE", "import a_package_that_nobody_has", "a_package_that_nobody_has"),
        ("orchard:APPLE", "PEAR = 'green'", "APPLE"),
        ("orchard.trees:APPLE", "", "orchard.trees"),
        ("orchard:APPLE", "APPLE = 3", "int"),
        ("orchard:APPLE", "APPLE = 1 + 'red'", "TypeError"),
        ("orchard:APPLE", "APPLE = (", "SyntaxError"),
        ("orchard:APPLE", "raise RuntimeError('no sun,\\nno rain')", "RuntimeError: no sun, no rain"),
        ("orchard:APPLE", "raise SystemExit('not on this machine')", "SystemExit: not on this machine"),
    ],
    ids=["its import fails", "it is not there", "its module is not there", "it is of another type", "a type error",
         "no Python", "two lines", "it ends the program"],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_with_package_and_cause(install: Any, value: str, code: str, names: str):
    install("orchard", {"apple": value}, code)
    with pytest.raises(RegistryError, match=r"'apple' of orchard") as refusal:
        fruits()["apple"]
    assert names in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_strangers_broken_package_breaks_nobody_else(install: Any):
    install("orchard", {"apple": "orchard:APPLE"}, "import a_package_that_nobody_has")
    install("market", {"pear": "market:PEAR"}, "PEAR = 'green'")
    assert fruits()["pear"] == "green"
    with pytest.raises(RegistryError, match="mend orchard or uninstall it; others: pear"):
        fruits()["apple"]


def test_a_strangers_robot_stands_beside_our_own(install: Any):
    code = (
        "from isthmus_sim.description import RobotDescription\n"
        "CAT = RobotDescription(name='cat', control_period_s=0.1, signals=(), commands=())\n"
    )
    install("cattery", {"cat": "cattery:CAT"}, code, "isthmus.robots")
    robots = Registry("isthmus.robots", "robot", RobotDescription)
    assert robots["cat"].name == "cat"
    assert {"cat", "crazyflie", "quadruped"} <= set(robots)
    assert (robots.origin("cat").package, robots.origin("quadruped").package) == ("cattery", "isthmus")


@pytest.mark.parametrize("registry", [ROBOTS, TASKS, ENGINES], ids=["robots", "tasks", "engines"])
def test_all_that_the_project_registers_can_be_had(registry: Registry):
    for name in registry:
        assert registry[name] is not None
    with pytest.raises(RegistryError, match=next(iter(registry))):
        registry["nobody"]
