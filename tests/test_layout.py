"""The direction of imports, the robot's freedom from torch and simulator, and files that know no particular machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("module", "forbidden", "contract"),
    [
        ("deploy/isthmus_deploy/contract.py", "torch", "deploy imports none of the others"),
        ("deploy/isthmus_deploy/contract.py", "isthmus_sim.engine", "deploy imports none of the others"),
        ("deploy/isthmus_deploy/contract.py", "isthmus_deploy.ros.stand_in_robot", "nothing imports the stand-in"),
        ("sim/isthmus_sim/engine.py", "isthmus_deploy.contract", "sim imports none of the others"),
        ("datasets/isthmus_datasets/__init__.py", "isthmus_sim.engine", "datasets imports none of the others"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, module: str, forbidden: str, contract: str):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in IMPORT_PATHS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / module).open("a") as file:
        file.write(f"\nimport {forbidden}\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert re.search(rf"{contract}.*BROKEN", result.stdout), result.stdout


IMPORT_EVERYTHING_BUT_THE_STAND_IN = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import isthmus_deploy
for module in pkgutil.walk_packages(isthmus_deploy.__path__, "isthmus_deploy."):
    if module.name != "isthmus_deploy.ros.stand_in_robot":
        importlib.import_module(module.name)
        print(module.name)
"""


def test_the_robot_side_imports_without_torch_simulator_and_ros():
    absent = ["torch", "mujoco", "onnx", "rclpy", "isthmus_sim", "isthmus_policies", "isthmus_datasets"]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING_BUT_THE_STAND_IN, *absent], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "isthmus_deploy.runtime" in result.stdout.split()


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
