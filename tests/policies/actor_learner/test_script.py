"""A script in the place of a person: when it takes over and lets go, and that the command records all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Controller
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.scripted import ScriptedOperator
from isthmus_policies.actor_learner.command import Options, act
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.actor_learner.script import ScriptConfig, ScriptedHuman
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer


class Still(ScriptedOperator):
    """Does nothing."""

    def plan(self, observation: Observation, step: int) -> np.ndarray:
        return np.zeros(2, np.float32)


SEEN = Observation(columns={}, capture_time_ns={})


def wishes(config: ScriptConfig, steps: int) -> list[bool | None]:
    human = ScriptedHuman(Still(steps=1000), config)
    said = []
    for _ in range(steps):
        human.decide(SEEN)
        said.append(human.wants_control)
    return said


def test_it_drives_for_so_many_steps():
    assert wishes(ScriptConfig(probability=1.0, duration=3), 8) == [True, None, None, False] * 2


def test_it_takes_over_as_often_as_asked_for():
    taken = sum(wish is True for wish in wishes(ScriptConfig(probability=0.1, duration=1), 2000))
    assert 120 < taken < 240, "one in ten of the steps at which it does not drive"


def test_it_waits_and_sees():
    said = wishes(ScriptConfig(probability=1.0, duration=2, patience=3), 8)
    assert said == [None, None, None, True, None, False, True, None]


def test_it_fades():
    said = wishes(ScriptConfig(probability=1.0, duration=1, fades_after=400), 1000)
    assert sum(wish is True for wish in said[:100]) > 35
    assert not any(said[400:])


@pytest.mark.parametrize(
    "wrong", [{"probability": 1.5}, {"skill": -0.1}, {"duration": 0}, {"noise": -1.0}, {"patience": -1}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ScriptConfig(**wrong)


def test_the_command_records_and_tells_the_learner(
    tmp_path: Path, config: Callable[..., TrainConfig[Any, Any, Any]], run: Callable[..., Path]
):
    with closing(Trainer(config())) as trainer:
        script = ScriptConfig(probability=0.05, duration=10)
        options = Options(run=run(), dataset=tmp_path / "data", episodes=1, real_time=False, script=script)
        said = act(options, Console())
        trainer.iterate()
        algorithm: Any = trainer.algorithm
        algorithm.close()
    with closing(LearningRun.of(run()).experience()) as experience:
        rows = experience.read(0, 10_000)
    assert f"1 episodes, {len(rows)} transitions, " in said
    assert 0 < rows["intervened"].sum() < len(rows)
    assert rows["taken"].any()
    reader = DatasetReader(tmp_path / "data")
    columns = reader.columns(0)
    np.testing.assert_array_equal(columns["control"][:, 0] == Controller.SCRIPT, rows["intervened"])
    assert len(algorithm.received.replay) >= len(rows)
