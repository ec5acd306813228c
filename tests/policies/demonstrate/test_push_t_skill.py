"""The scripted operator of Push-T: the less skill, the fewer episodes succeed."""

from __future__ import annotations

from isthmus_datasets.recording.operator import Event
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.tasks.push_t_script import PushTScript
from isthmus_sim.tasks import make_task

EPISODES = 5


def successes(robot: EnvRobot, skill: float) -> int:
    operator, count = PushTScript(skill=skill), 0
    for seed in range(EPISODES):
        robot.reset(seed)
        operator.reset(seed)
        while (decision := operator.decide(robot.observe())).event not in (Event.SUCCESS, Event.TIME):
            robot.act(decision.action)
        count += decision.event is Event.SUCCESS
    return count


def test_success_falls_with_skill():
    robot = EnvRobot(make_task("push_t"))
    most, some, none = (successes(robot, skill) for skill in (1.0, 0.6, 0.0))
    robot.close()
    assert most == EPISODES
    assert most > some > none
    assert none <= 1
