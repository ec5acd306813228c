"""The same policy on several engines: differences are seen, the same is the same, and the exit code says which."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import standing_policy
import torch
from rich.console import Console
from untrained import provenance

from isthmus_deploy.policy.policy_file import read
from isthmus_policies.evaluation.compare import command
from isthmus_policies.evaluation.compare.command import Options, compare
from isthmus_policies.evaluation.compare.comparison import Driven, drive, parting
from isthmus_policies.evaluation.compare.guarded import GuardedRunner
from isthmus_policies.evaluation.runners import GraphRunner, open_graph
from isthmus_sim.engines import ENGINES, EngineEntry, make_engine
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.env import Env
from isthmus_sim.scene import Scene
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.velocity_config import VelocityConfig

CALM = VelocityConfig(episode_steps=40, push_s=0.0, standing_share=1.0)


class Limp(MujocoEngine):
    """Another world, in which motors give a tenth."""

    def __init__(self, scene: Scene, num_envs: int) -> None:
        super().__init__(scene, num_envs, num_threads=1)

    def set_params(self, ids, params):
        super().set_params(ids, {**params, "strength": 0.1 * params["strength"]} if "strength" in params else params)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    again = EngineEntry(make=lambda scene, n: MujocoEngine(scene, n, num_threads=1))
    monkeypatch.setitem(ENGINES._loaded, "again", again)
    monkeypatch.setitem(ENGINES._loaded, "limp", EngineEntry(make=Limp))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "standing.onnx"
    known = provenance("quadruped", robot_model="quadruped", task_config=asdict(CALM))
    path.write_bytes(standing_policy.policy_file(provenance=known))
    return path


def compared(policy: Path, folder: Path, *engines: str, **options) -> tuple[bool, dict, str]:
    with (folder / "printed").open("w") as file:
        given = Options(policy=policy, engines=engines, episodes=8, folder=folder, **options)
        good = compare(given, Console(file=file, width=150))
    facts = json.loads((folder / "comparison.json").read_text())
    return good, facts, (folder / "printed").read_text()


def test_the_same_engine_twice_is_the_same(policy: Path, tmp_path: Path):
    good, facts, printed = compared(policy, tmp_path, "mujoco", "again")
    assert good
    assert facts["partings"]["again"] == {"quartiles": None, "share": 0.0}
    one, other = (facts["scores"][name] for name in ("mujoco", "again"))
    assert one["success"][1] == 1.0
    assert {**one, "engine": ""} == {**other, "engine": ""}, "the same starts, bodies and noise"
    assert "again 100.0%" in printed
    assert "never" in printed
    page = (tmp_path / "comparison.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "http" not in page.replace("data:image", "")


def test_what_was_found_is_written_into_the_policy_when_it_is_asked_for(policy: Path, tmp_path: Path):
    """The graph stays; the digest changes, and the opinion says which file was driven."""
    path = tmp_path / "judged.onnx"
    path.write_bytes(policy.read_bytes())
    compared(path, tmp_path, "mujoco", "again")
    assert path.read_bytes() == policy.read_bytes()
    compared(path, tmp_path, "mujoco", "limp", write=True)
    compared(path, tmp_path, "mujoco", "again", write=True)
    before, after = read(policy), read(path)
    opinions = after.contract.provenance.second_opinions
    assert opinions is not None
    limp, again = opinions
    assert (limp.engine, limp.held_to, limp.episodes, limp.success[1], limp.enough) == ("limp", "mujoco", 8, 0.0, False)
    assert (again.engine, again.success[1], again.kept[1], again.enough) == ("again", 1.0, 1.0, True)
    assert limp.policy == before.digest
    assert len({before.digest, again.policy, after.digest}) == 3
    origin = replace(after.contract.provenance, second_opinions=None)
    assert replace(after.contract, provenance=origin) == before.contract
    assert not list(tmp_path.glob("*.partial"))
    assert str(limp) == "limp 0 % of mujoco's success (95 % interval 0 to 34 %, 8 episodes each)"


def test_a_policy_that_falls_elsewhere_is_told(policy: Path, tmp_path: Path):
    good, facts, printed = compared(policy, tmp_path, "mujoco", "limp")
    assert not good
    assert facts["scores"]["limp"]["failed"][1] == 1.0
    part = facts["partings"]["limp"]
    assert part["share"] == 1.0
    assert 0.02 < part["quartiles"][1] < 0.4, "it sinks by 5 cm in a tenth of a second or two"
    assert "limp 0.0% (0.0% … 34.3%); at least 95% must be" in printed
    good, *_ = compared(policy, tmp_path, "mujoco", "limp", keep=0.0)
    assert good


def test_when_two_engines_part_by_hand():
    """One goes 0.1 m/s faster; the second episode's first ends before they are 0.05 m apart; the third stands."""
    steps = torch.arange(20).float()
    still = torch.zeros(20, 3, 3)
    moving = still.clone()
    moving[:, 0, 0] = moving[:, 1, 1] = 0.1 * 0.1 * steps
    moving[4:, 1] = torch.nan
    driven = [Driven(score=None, places=places) for places in (still, moving)]  # pyright: ignore[reportArgumentType]
    found = parting(*driven, tolerance=0.05, period_s=0.1)
    assert found.share == pytest.approx(1 / 3)
    assert found.quartiles == pytest.approx((0.6, 0.6, 0.6))  # at step 5 it is 0.05 m, and not more


def test_places_of_ended_episodes_are_no_numbers(policy: Path):
    _, contract = open_graph(str(policy))
    task = make_task("quadruped", replace(CALM, episode_steps=5))
    driven = drive(task, lambda env: GuardedRunner(str(policy), contract, env), "limp", 3, 0, lambda *_: None)
    assert driven.places.shape[1:] == (3, 3)
    assert torch.isfinite(driven.places).all()


def test_the_graph_goes_through_its_own_limits(policy: Path):
    """Targets that may move slowly do, in every world by itself, and anew after a reset."""
    _, contract = open_graph(str(policy))
    (target,) = contract.commands
    slower = replace(target, max_rate=(0.001,) * len(target.max_rate), transition_rate=None)
    slow = replace(contract, commands=(slower,))
    task = make_task("quadruped", CALM)
    sent = []
    for make in (lambda env: GraphRunner(str(policy), env), lambda env: GuardedRunner(str(policy), slow, env)):
        env = Env(task, make_engine(task.scene, 2, "again"), seed=1)
        runner = make(env)
        sent.append(torch.stack([runner.step(env).commands[target.name] for _ in range(5)]))
    standby = torch.tensor(target.standby, dtype=torch.float32)
    free, held = (rows - standby for rows in sent)
    most = 0.001 * contract.control_period_s
    assert float(free[0].abs().max()) > 2 * most, "the graph wants more than it may"
    for step in range(5):
        assert float(held[step].abs().max()) <= (step + 1) * most + 1e-6
    runner.restart(torch.tensor([1]))
    after = runner.step(env).commands[target.name] - standby
    assert float(after[1].abs().max()) <= most + 1e-6


def test_goals_are_held_to_what_training_asked(policy: Path):
    """And come to the graph in its own type, whatever the limiter counts in."""
    _, contract = open_graph(str(policy))
    goals = {signal.name: signal for signal in contract.signals if signal.max_age_s is None}
    assert goals, "the quadruped is asked for a velocity"
    narrow = {name: replace(s, trained_minimum=(0.25,) * len(s.order), trained_maximum=(0.5,) * len(s.order))
              for name, s in goals.items()}  # fmt: skip
    held = replace(contract, signals=tuple(narrow.get(signal.name, signal) for signal in contract.signals))
    env = Env(make_task("quadruped", CALM), make_engine(make_task("quadruped", CALM).scene, 2, "again"), seed=1)
    runner, given = GuardedRunner(str(policy), held, env), {}
    wanted = runner.wanted
    runner.wanted = lambda signals: given.update(signals) or wanted(signals)
    runner.step(env)
    for name in goals:
        assert given[name].dtype == np.float32
        assert (given[name] == 0.25).all(), "it was told to stand"


@pytest.mark.parametrize(
    ("engines", "message"),
    [(("mujoco",), "at least two engines"), (("mujoco", "mujoco"), "each once"), (("mujoco", "bullet"), "'bullet'")],
)
def test_what_cannot_be_compared_is_refused(policy: Path, tmp_path: Path, engines: tuple[str, ...], message: str):
    with pytest.raises(ValueError, match=message):
        compared(policy, tmp_path, *engines)


def test_the_command_ends_with_1(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = [str(policy), "--engines", "mujoco", "limp", "--episodes", "4", "--folder", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["isthmus-compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    monkeypatch.setattr("sys.argv", ["isthmus-compare", str(tmp_path / "none.onnx")])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert "isthmus-compare: " in str(ended.value.code)
    assert np.isfinite(float(json.loads((tmp_path / "comparison.json").read_text())["scores"]["mujoco"]["seed"]))
