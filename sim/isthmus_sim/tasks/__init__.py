"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable

from isthmus_sim.task import Task
from isthmus_sim.tasks import pick_place, push_t, quadruped
from isthmus_sim.tasks.quadrotor import Quadrotor, following_figure_eight, randomized

TASKS: dict[str, Callable[[], Task]] = {
    "quadrotor": Quadrotor,
    "quadrotor-randomized": lambda: Quadrotor(randomized()),
    "quadrotor-figure-eight-10s": lambda: Quadrotor(following_figure_eight(10.0)),
    "quadrotor-figure-eight-5.5s": lambda: Quadrotor(following_figure_eight(5.5)),
    "quadruped": quadruped.Quadruped,
    "quadruped-rough": lambda: quadruped.Quadruped(quadruped.rough()),
    "push_t": push_t.PushT,
    "push_t-standard": lambda: push_t.PushT(push_t.standard()),
    "pick_place": pick_place.PickPlace,
    "pick_place-randomized": lambda: pick_place.PickPlace(pick_place.randomized()),
}


def make_task(name: str) -> Task:
    """Raises ValueError naming the tasks there are."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; there are: {', '.join(TASKS)}")
    return TASKS[name]()
