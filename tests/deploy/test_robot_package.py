"""The robot side as a ROS 2 package: built as colcon builds it, and what `ros2 run` and `ros2 launch` then find."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "deploy" / "robot"
CODE = REPOSITORY / "deploy" / "isthmus_deploy"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed, with the commands that colcon gives to setup.py."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    prefix = folder / "install"
    arguments = ["egg_info", "--egg-base", folder, "build", "--build-base", folder / "build"]
    arguments += ["install", "--prefix", prefix, "--record", folder / "record", "--single-version-externally-managed"]
    command = [sys.executable, "setup.py", "-q", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder / "src", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return prefix


@pytest.fixture(scope="module")
def site(installed: Path) -> Path:
    return installed / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def test_ros_finds_it(installed):
    assert (installed / "share/ament_index/resource_index/packages/isthmus_deploy").is_file()
    assert (installed / "share/isthmus_deploy/package.xml").is_file()
    assert (installed / "share/isthmus_deploy/launch/policy.launch.py").is_file()
    for script in ("isthmus-deploy", "isthmus-announce"):  # where `ros2 run` looks
        assert os.access(installed / "lib/isthmus_deploy" / script, os.X_OK)


def test_it_runs_from_the_workspace_without_the_rest_of_isthmus(site):
    paths = [str(site), sysconfig.get_paths()["purelib"]]
    # -S leaves out the .pth file by which this checkout would be found.
    code = f"""
import sys
sys.path[:0] = {paths!r}
import isthmus_deploy.policy.runtime, isthmus_deploy.contracts.profile
from pathlib import Path
assert Path(isthmus_deploy.__file__).is_relative_to({str(site)!r})
assert "torch" not in sys.modules and "mujoco" not in sys.modules
print(isthmus_deploy.contracts.profile.read_profile(Path("quadruped")).robot)
try:
    import isthmus_sim
except ModuleNotFoundError:
    print("alone")
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["quadruped", "alone"], done.stderr


def test_every_file_but_the_stand_in_robot_is_there(site):
    def files(folder: Path) -> set[Path]:
        kinds = (".py", ".json", ".yaml", ".xml")
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix in kinds)
        return {path for path in found if not path.is_relative_to("ros/stand_in_robot")}

    assert files(site / "isthmus_deploy") == files(CODE)


def test_it_says_the_same_as_the_distribution(site):
    project = _pyproject()
    version = ElementTree.parse(SOURCE / "package.xml").findtext("version")
    assert version == re.search(r'^version = "(.*)"', project, re.M)[1]  # type: ignore[index]
    (metadata,) = site.glob("isthmus_deploy-*.egg-info")
    assert f"-{version}-" in metadata.name
    points = configparser.ConfigParser()
    points.read(metadata / "entry_points.txt")
    for group in points.sections():
        for name, value in points[group].items():
            assert re.search(rf'^"?{re.escape(name)}"? = "{re.escape(value)}"$', project, re.M), name
    bindings = re.search(r'\[project.entry-points."isthmus.ros_bindings"\]\n((?:.+\n)+)', project)
    assert bindings
    assert len(bindings[1].splitlines()) == len(points["isthmus.ros_bindings"])


def _pyproject() -> str:
    return (REPOSITORY / "pyproject.toml").read_text("utf-8")


def test_messages_that_are_imported_are_depended_on():
    depends = {item.text for item in ElementTree.parse(SOURCE / "package.xml").findall("exec_depend")}
    imported = set()
    for path in CODE.rglob("*.py"):
        imported |= set(
            re.findall(r"(?:from|import_module\(\")\s*(\w+(?:_msgs|_srvs|_interfaces))\b", path.read_text())
        )
    assert imported - {"builtin_interfaces"} <= depends  # those come with every message


def test_it_is_python_3_10():
    for path in (*CODE.rglob("*.py"), *SOURCE.glob("*.py"), *SOURCE.glob("launch/*.py")):
        ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 10))


# --- launch, which is not on PyPI ---


@pytest.fixture
def launch_file(installed: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launch file on stubs of `launch` and `launch_ros` that keep what they are given."""

    def stub(**names: object) -> ModuleType:
        module = ModuleType("stub")
        vars(module).update(names)
        return module

    class Configuration:
        def __init__(self, name: str) -> None:
            self._name = name

        def perform(self, context: dict[str, str]) -> str:
            return context[self._name]

    keep = lambda *values, **names: SimpleNamespace(values=values, **names)  # noqa: E731
    for name, module in {
        "launch": stub(LaunchContext=dict, LaunchDescription=list),
        "launch.actions": stub(DeclareLaunchArgument=keep, OpaqueFunction=keep),
        "launch.substitutions": stub(LaunchConfiguration=Configuration),
        "launch_ros": stub(),
        "launch_ros.actions": stub(Node=keep),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    path = installed / "share/isthmus_deploy/launch/policy.launch.py"
    spec = importlib.util.spec_from_file_location("policy_launch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("profile", "arguments"), [("", ["p.onnx"]), ("my.yaml", ["p.onnx", "--profile", "my.yaml"])])
def test_the_launch_file_starts_the_node(launch_file, profile, arguments):
    *declared, started = launch_file.generate_launch_description()
    assert [item.values[0] for item in declared] == ["policy", "profile", "namespace", "parameters"]
    given = {"policy": "p.onnx", "profile": profile, "namespace": "/dog", "parameters": "dog.yaml"}
    (node,) = started.function(given)
    assert (node.package, node.executable, node.namespace) == ("isthmus_deploy", "isthmus-deploy", "/dog")
    assert node.arguments == arguments
    assert node.parameters == ["dog.yaml"]
    assert float(node.sigterm_timeout) >= 10.0, "laying a robot down takes seconds"


# --- the service ---


def test_under_systemd_the_node_may_write_wherever_it_does():
    """The rest of the system is read-only there, homes too: where ROS 2 cannot write its logs it does not start."""
    unit = (SOURCE / "isthmus-deploy@.service").read_text("utf-8")
    said = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"[A-Za-z]+=", line))
    folders = {"StateDirectory": "/var/lib", "RuntimeDirectory": "/run", "LogsDirectory": "/var/log"}
    writable = {f"{root}/{said[name]}" for name, root in folders.items()}
    places = dict(pair.split("=", 1) for pair in said["Environment"].split())
    assert set(places) == {"XDG_STATE_HOME", "XDG_RUNTIME_DIR", "ROS_LOG_DIR"}
    assert set(places.values()) == writable
    assert said["RuntimeDirectoryPreserve"] == "yes", "the locks of other robots are there"
