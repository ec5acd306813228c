"""A task's conditions as a graph: what torch says, ONNX says, on any readings; and in every exported policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_deploy.policy.margins import TOLERANCE, MarginGraph
from isthmus_deploy.safety.conditions import Conditions
from isthmus_policies.export import conditions
from isthmus_policies.export.conditions import ConditionsGraph, Margins
from isthmus_policies.export.contract import NOWHERE, make_contract
from isthmus_policies.export.export import ExportError, export_policy
from isthmus_policies.export.graph import compile_graph
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_sim.task import Condition, Task
from isthmus_sim.tasks import make_task
from isthmus_sim.terms.terminations import upright

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own
TASKS = ("quadrotor", "quadruped", "biped")
LIMITS = {"crazyflie": np.pi / 2, "quadruped": np.pi / 3, "biped": 0.8}


def untrained(task: Task) -> ActorCritic:
    return ActorCritic(task.groups, task.action_size, ActorCriticConfig())


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return make_task(request.param)


@pytest.fixture(scope="module")
def graph(task: Task) -> MarginGraph:
    model = Margins(task).model
    assert model is not None
    return MarginGraph("policy.onnx", model, make_contract(task, untrained(task), NOWHERE))


def readings(task: Task, seed: int) -> dict[str, np.ndarray]:
    """Plausible ones, evenly from their ranges; orientations of any length near 1, evenly from all."""
    random, found = np.random.default_rng(seed), {}
    for spec in task.robot.signals:
        found[spec.name] = random.uniform(spec.minimum, spec.maximum, spec.shape).astype(np.float32)
        if spec.order == ("w", "x", "y", "z"):
            turn = random.standard_normal(4)
            found[spec.name] = (random.uniform(0.99, 1.01) * turn / np.linalg.norm(turn)).astype(np.float32)
    return found


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_graph_gives_torchs_margins_on_any_readings(task: Task, graph: MarginGraph, seed: int):
    signals = readings(task, seed)
    expected = ConditionsGraph(task).margins({name: torch.from_numpy(v)[None] for name, v in signals.items()})[0]
    np.testing.assert_allclose(graph(signals), expected.numpy(), rtol=TOLERANCE, atol=TOLERANCE)


def test_the_robot_stops_at_the_limit_of_training(task: Task, graph: MarginGraph):
    """A hundredth of a radian on either side of it, leaning to the side; and on its back."""
    contract = make_contract(task, untrained(task), NOWHERE)
    judged = Conditions(contract.conditions or (), graph)
    limit = LIMITS[task.robot.name]
    signals = readings(task, 0)
    name = next(spec.name for spec in task.robot.signals if spec.order == ("w", "x", "y", "z"))

    def lean(angle: float) -> str | None:
        signals[name] = np.array([np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0], np.float32)
        return judged.judge(signals, "standby")

    assert lean(0.0) is None
    assert lean(limit - 0.01) is None
    assert lean(limit + 0.01) == f"tilt: 0.01 rad beyond what training had (leans by at most {limit:.3g} rad)"
    assert str(lean(np.pi)).startswith(f"tilt: {np.pi - limit:.3g} rad beyond")


def test_conditions_travel_with_the_policy(tmp_path: Path):
    """Through the whole export and the file, two of them, of which one is not the shipped task's."""
    from isthmus_deploy.policy.runtime import Runtime

    task = make_task("quadrotor")
    high = Condition(
        margin=lambda signals: 3.0 - signals["position"][:, 2],
        unit="m",
        description="is at most 3 m",
        holds=("driven",),
    )
    task.conditions = {"tilt": upright("orientation", 1.0), "height": high}
    path = tmp_path / "policy.onnx"
    path.write_bytes(export_policy(task, untrained(task), NOWHERE)[0])
    runtime = Runtime(path)
    found = runtime.contract.conditions or ()
    assert [(item.name, item.unit, item.holds) for item in found] == [
        ("tilt", "rad", ("standby", "driven")),
        ("height", "m", ("driven",)),
    ]
    signals = readings(task, 1) | {
        "orientation": np.array([1.0, 0.0, 0.0, 0.0], np.float32), "position": np.array([0.0, 0.0, 3.5], np.float32)
    }  # fmt: skip
    conditions = runtime.conditions()
    assert conditions.judge(signals, "standby") is None
    assert conditions.judge(signals, "driven") == "height: 0.5 m beyond what training had (is at most 3 m)"


def test_a_graph_that_differs_is_not_written(monkeypatch: pytest.MonkeyPatch):
    """That of a limit which is a thousandth of a radian wider."""
    wider, task = make_task("quadrotor"), make_task("quadrotor")
    wider.conditions = {"tilt": upright("orientation", np.pi / 2 + 1e-3)}
    model = compile_graph(ConditionsGraph(wider))
    monkeypatch.setattr(conditions, "compile_graph", lambda _: model)
    with pytest.raises(ExportError, match=r"differ by 0\.000[4-9]\d* in the margins of the conditions"):
        export_policy(task, untrained(task), NOWHERE)


def test_a_task_without_conditions_has_no_graph():
    margins = Margins(make_task("push_t"))
    assert margins.model is None
    assert margins.of({}).shape == (0,)
