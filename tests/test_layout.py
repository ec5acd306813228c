"""The direction of imports, the robot's freedom from torch and simulator, and files that know no particular machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPORT_PATHS = ("sim", "policies", "datasets", "deploy")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of the checkout (or copy of it) in `folder`."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(folder / name) for name in IMPORT_PATHS)},
        capture_output=True,
        text=True,
    )


def test_imports_run_one_way():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


WRONG = (
    ("deploy", "isthmus_deploy.contracts.contract", "torch", "deploy imports none of the others"),
    ("deploy", "isthmus_deploy.contracts.contract", "isthmus_sim.engine", "deploy imports none of the others"),
    ("deploy", "isthmus_deploy.policy.runtime", "isthmus_deploy.ros.stand_in_robot", "nothing imports the stand-in"),
    ("sim", "isthmus_sim.engine", "isthmus_deploy.contracts.contract", "sim imports none of the others"),
    ("datasets", "isthmus_datasets.format.info", "isthmus_sim.engine", "datasets imports none of the others"),
)
"""Folder, module, what it must not import, and the contract that says so."""


def test_wrong_imports_are_found(tmp_path: Path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in IMPORT_PATHS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder, module, forbidden, _ in WRONG:
        with (tmp_path / folder / f"{module.replace('.', '/')}.py").open("a") as file:
            file.write(f"\nimport {forbidden}\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    for _, module, forbidden, contract in WRONG:
        assert re.search(rf"{contract}.*BROKEN", result.stdout), result.stdout
        assert re.search(rf"{module} -> {forbidden}\b", result.stdout), result.stdout


IMPORT_THE_ROBOT_SIDE = """
import importlib, pkgutil, sys

absent, skipped = sys.argv[1].split(","), sys.argv[2]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import isthmus_deploy
for module in pkgutil.walk_packages(isthmus_deploy.__path__, "isthmus_deploy."):
    if not module.name.startswith(skipped):
        importlib.import_module(module.name)
        print(module.name)
"""


def import_the_robot_side(absent: str, skipped: str) -> list[str]:
    """Import every module of isthmus_deploy but `skipped` as if the packages `absent` were missing; their names."""
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_THE_ROBOT_SIDE, absent, skipped], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


NOT_ON_A_ROBOT = "torch,mujoco,onnx,gymnasium,isthmus_sim,isthmus_policies,isthmus_datasets"


def test_the_robot_side_imports_without_torch_simulator_and_ros():
    absent = f"{NOT_ON_A_ROBOT},rclpy,std_msgs,geometry_msgs,nav_msgs,sensor_msgs"
    assert "isthmus_deploy.policy.runtime" in import_the_robot_side(absent, skipped="isthmus_deploy.ros.")


@pytest.mark.skipif(find_spec("rclpy") is None, reason="needs rclpy: pip install 'isthmus[ros]'")
def test_the_ros_nodes_import_without_torch_and_simulator():
    imported = import_the_robot_side(NOT_ON_A_ROBOT, skipped="isthmus_deploy.ros.stand_in_robot")
    assert "isthmus_deploy.ros.node.policy_node" in imported


def tracked_files() -> list[Path]:
    """Files under version control; the test skips in an unpacked archive, which has no such list."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip(f"not a git checkout: {listing.stderr.strip()}")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_path_of_one_machine():
    # A distribution's ROS 2 lives under /opt/ros everywhere, so that one may be named.
    machine_path = re.compile(r"""(?:^|[\s"'`=(:])(/(?:home|root|work|Users|mnt|opt/(?!ros\b))(?:/|\b)[^\s"'`)]*)""")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group(1)}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1)
        if path.suffix not in {".png", ".onnx"}
        for match in machine_path.finditer(line)
    ]
    assert not found, "\n".join(found)
