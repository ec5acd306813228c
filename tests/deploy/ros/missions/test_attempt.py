"""The operator that waits for a task to be done."""

from __future__ import annotations

from isthmus_deploy.ros.missions.attempt import Attempt, AttemptPlan, Options
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Judgement
from isthmus_deploy.ros.truth import Truth


def attempted(done_s: float) -> tuple[float, Judgement]:
    """When it stopped asking, and how it was judged; the task is done after `done_s`."""
    mission, time_s = Attempt(Options(plan=AttemptPlan(time_s=2.0))), 0.0
    mission.succeeded = False
    mission.begin(Truth())
    while mission.ask(time_s, Truth()) is not None:
        time_s += 0.1
        mission.succeeded = time_s >= done_s
        assert time_s < 10.0
    return time_s, mission.judge(MissionLog(asked={}), Truth())


def test_it_ends_when_the_task_is_done():
    end_s, judgement = attempted(1.15)
    assert 1.15 <= end_s < 1.3
    assert judgement.failures == []
    assert judgement.lines == ["done after 1.2 s"]


def test_it_ends_when_the_time_is_over():
    end_s, judgement = attempted(5.0)
    assert 2.0 < end_s < 2.2, "0.1 s after"
    assert judgement.failures == ["not done after 2.0 s"]
