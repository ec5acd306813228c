"""The script of the peg: it does what a person does, knows no more than the robot, and can begin anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.algorithms.sac.demonstrations import Demonstrations
from isthmus_policies.demonstrate import record, transitions
from isthmus_policies.demonstrate.tasks.peg_script import PegScript
from isthmus_policies.networks.policy import check_policy
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.peg import PegConfig

TASK = make_task("peg")
SCRIPT = PegScript(PegConfig())


def succeeded(before: torch.Tensor, steps: int = 110) -> float:
    """Share of 12 episodes that the script does after these actions (steps, 12, 3) of somebody else."""
    env = Env(TASK, make_engine(TASK.scene, 12, "mujoco"), 5, episode_steps=steps + len(before), autoreset=False)
    seen, done = env.reset(), torch.zeros(12, dtype=torch.bool)
    failed = done.clone()
    for number in range(len(before) + steps):
        with torch.no_grad():
            action = before[number] if number < len(before) else SCRIPT.act(seen, {}, {})[0]
        step = env.step(action)
        seen = step.observations
        failed |= step.terminated & ~step.succeeded
        done |= step.succeeded & ~failed
    return float(done.float().mean())


@pytest.mark.parametrize("disturbed", [False, True])
def test_most_episodes_succeed_from_the_start_and_after_somebody_has_lost_the_way(disturbed: bool):
    generator = torch.Generator().manual_seed(1)
    lost = torch.rand(1, 12, 3, generator=generator) * torch.tensor((2.0, 2.0, 1.0)) - torch.tensor((1.0, 1.0, 0.8))
    assert succeeded(0.8 * lost.expand(6 if disturbed else 0, -1, -1)) > 0.5


def test_it_is_a_policy_of_what_the_robot_has():
    check_policy(SCRIPT, TASK.groups, TASK.action_size)
    assert SCRIPT.groups == ("actor",)


def test_what_it_shows_is_learned_from(tmp_path: Path):
    told = transitions.record(transitions.Options(run=Path("peg"), dataset=tmp_path / "shown", episodes=3))
    assert "3 episodes" in told
    reader = DatasetReader(tmp_path / "shown")
    assert {row.facts["operator"] for row in reader.episodes} == {"script"}
    groups = {name: TASK.groups[name] for name in ("actor", "critic")}
    shown = Demonstrations([tmp_path / "shown"], TASK, groups, rewarded=True, device=torch.device("cpu"))
    assert len(shown.replay) >= sum(row.length for row in reader.episodes)


def test_a_task_without_such_a_script_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"'pick_place' has no policy; tasks that have: peg"):
        transitions.record(transitions.Options(run=Path("pick_place"), dataset=tmp_path / "shown"))


def test_it_is_recorded_as_a_persons_demonstrations_are(tmp_path: Path):
    record.main(["peg", str(tmp_path / "set"), "--episodes", "1", "--seed", "3"])
    reader = DatasetReader(tmp_path / "set")
    (row,) = reader.episodes
    assert (reader.info.robot_type, reader.info.fps, row.tasks) == ("so101_peg", 20, ("bring the peg into the hole",))
    names = reader.info.features["observation.state"].names
    assert names is not None
    assert any("wrist_force" in name for name in names)
    assert row.facts["success"] is True
