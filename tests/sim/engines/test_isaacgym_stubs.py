"""What the worker and its stand-in call of Isaac Gym is what its published stubs have, with as many arguments."""

from __future__ import annotations

import ast
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import isthmus_sim.worker
from isthmus_sim.engines.worker.simulators import isaacgym

WORKER = Path(isthmus_sim.worker.__file__).parent / "isaacgym_physics.py"
STAND_IN = Path(__file__).parent / "stand_ins" / "isaacgym" / "gymapi.py"


@pytest.fixture(scope="module")
def stubs() -> ast.Module:
    try:
        path = distribution("isaacgym-stubs").locate_file("isaacgym-stubs/gymapi.pyi")
    except PackageNotFoundError:
        pytest.skip("needs the published stubs: pip install isaacgym-stubs==1.1rc4")
    text = Path(str(path)).read_text(encoding="utf-8")
    return ast.parse(text.replace("def lambda(", "def lambda_("))  # they are not quite Python


def methods(module: ast.Module, name: str = "Gym") -> dict[str, ast.FunctionDef]:
    gym = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {node.name: node for node in gym.body if isinstance(node, ast.FunctionDef)}


def calls(module: ast.Module) -> dict[str, int]:
    """Method of the Gym -> how many arguments it is given: what is called on `gym` or `self._gym`."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            on = node.func.value
            if (on.id if isinstance(on, ast.Name) else getattr(on, "attr", "")) in ("gym", "_gym"):
                assert not node.keywords, "arguments have no names in half of the interface"
                found[node.func.attr] = len(node.args)
    return found


def test_every_call_fits_the_stubs(stubs: ast.Module):
    published, called = methods(stubs), calls(ast.parse(WORKER.read_text(encoding="utf-8")))
    assert len(called) > 20
    for name, count in called.items():
        assert name in published, f"there is no {name}"
        own = published[name].args
        if own.vararg is not None:
            continue  # of a few the stubs do not say what they take
        least, most = len(own.args) - 1 - len(own.defaults), len(own.args) - 1  # without self
        assert least <= count <= most, f"{name} takes {least} to {most} arguments, not {count}"


def test_every_name_is_in_the_stubs(stubs: ast.Module):
    classes = {node.name: node for node in stubs.body if isinstance(node, ast.ClassDef)}
    names = {n.target.id for n in stubs.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    names |= set(classes) | {node.name for node in stubs.body if isinstance(node, ast.FunctionDef)}
    used = {
        node.attr
        for node in ast.walk(ast.parse(WORKER.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gymapi"
    }
    assert len(used) > 10
    assert used <= names, used - names


def test_the_stand_in_has_the_published_arguments(stubs: ast.Module):
    """Or the worker would be tried against an interface of our own."""
    published, own = methods(stubs), methods(ast.parse(STAND_IN.read_text(encoding="utf-8")))
    for name, method in own.items():
        if not name.startswith("_") and published[name].args.vararg is None:
            assert len(method.args.args) == len(published[name].args.args), name
    assert set(calls(ast.parse(WORKER.read_text(encoding="utf-8")))) <= set(own)


def test_the_setting_says_which_interpreter(monkeypatch: pytest.MonkeyPatch):
    assert isaacgym().python == "python3.8"
    monkeypatch.setenv("ISTHMUS_ISAACGYM_PYTHON", "of/a/person/python")
    assert isaacgym().python == "of/a/person/python"
