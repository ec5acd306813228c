"""One inference at a time, in the loop or beside it; what goes wrong in it is told, and nothing hangs."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from chunk_models import Model, with_chunks

from isthmus_deploy.chunk_executor import Request
from isthmus_deploy.policy import chunk_inference
from isthmus_deploy.policy.chunk_inference import InferenceFailed, InLoop, Job, WorkerThread

LONG_S = 60.0


@pytest.fixture
def make(contract):
    """`make(inferer, give, scores)`: the inferer of a model that gives this, and may be watched."""
    made = []

    def build(inferer, give, scores=None):
        made.append(inferer(Model(with_chunks(contract), give, scores)))
        return made[-1]

    yield build
    for inferer in made:
        inferer.close()


def job(number=1, begin=None):
    request = Request(number=number, episode=1, tick=0, init=None, kept=None)
    return Job(request=request, windows={"x": np.full(3, number)}, begin=begin)


def echo(windows, begin):
    return {"y": windows["x"], "begun": np.array(begin is not None)}


@pytest.mark.parametrize("inferer", [InLoop, WorkerThread])
def test_every_job_gives_one_chunk(make, inferer):
    made = make(inferer, echo)
    assert made.free
    assert made.take() is None
    asked = job(7, begin={"y": np.zeros(3)})
    made.submit(asked)
    assert not made.free
    assert made.close(), "what is under way comes to its end"
    given = made.take()
    assert given.request is asked.request
    assert given.chunks["y"].tolist() == [7, 7, 7]
    assert given.chunks["begun"]
    assert made.free
    assert made.take() is None


@pytest.mark.parametrize("inferer", [InLoop, WorkerThread])
def test_every_job_of_a_policy_that_is_watched_is_scored(make, inferer):
    made = make(inferer, echo, lambda windows: windows["x"][:2] / 2)
    assert made.take_scores() is None
    asked = job(7)
    made.submit(asked)
    made.close()
    scored = made.take_scores()
    assert scored.request is asked.request
    assert scored.scores.tolist() == [3.5, 3.5]
    assert made.take_scores() is None
    assert make(inferer, echo).take_scores() is None, "one that is not watched"


def test_a_chunk_does_not_wait_for_its_scores(make):
    entered, release = threading.Event(), threading.Event()

    def scores(windows):
        entered.set()
        assert release.wait(LONG_S)
        raise KeyError("the network")

    worker = make(WorkerThread, echo, scores)
    worker.submit(job())
    assert entered.wait(LONG_S)
    assert worker.take() is not None
    assert worker.take_scores() is None
    release.set()
    worker.close()
    with pytest.raises(InferenceFailed, match="KeyError: 'the network'"):
        worker.take_scores()


def test_a_worker_is_not_waited_for(make):
    entered, release = threading.Event(), threading.Event()

    def give(windows, begin):
        entered.set()
        assert release.wait(LONG_S)
        return echo(windows, begin)

    worker = make(WorkerThread, give)
    worker.submit(job())
    assert entered.wait(LONG_S)
    assert worker.take() is None
    assert not worker.free
    release.set()
    assert worker.close()
    assert worker.take() is not None


@pytest.mark.parametrize("inferer", [InLoop, WorkerThread])
def test_what_the_model_raises_is_handed_on_in_words(make, inferer):
    def give(windows, begin):
        raise KeyError("the camera")

    made = make(inferer, give)
    made.submit(job())
    made.close()
    with pytest.raises(InferenceFailed, match="KeyError: 'the camera'") as caught:
        made.take()
    assert isinstance(caught.value.__cause__, KeyError)
    assert made.free
    assert made.take() is None


def test_a_model_that_raised_may_go_on(make):
    """Three steps, of which the second one raises, in one thread."""
    gate, threads = threading.Barrier(2, timeout=LONG_S), []

    def give(windows, begin):
        threads.append(threading.current_thread())
        gate.wait()
        if windows["x"][0] == 2:
            raise ValueError("just once")
        return echo(windows, begin)

    worker = make(WorkerThread, give)
    for number in (1, 2, 3):
        worker.submit(job(number))
        gate.wait()
    worker.close()
    assert worker.take().chunks["y"][0] == 1
    with pytest.raises(InferenceFailed, match="just once"):
        worker.take()
    assert worker.take().chunks["y"][0] == 3
    assert len(set(threads)) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_is_no_more_is_told_each_time(make):
    def give(windows, begin):
        raise SystemExit

    worker = make(WorkerThread, give)
    worker.submit(job())
    worker.close()
    for _ in range(2):
        with pytest.raises(InferenceFailed, match="ended"):
            worker.take()
    assert not worker.free


def test_a_worker_that_hangs_is_left_behind(make, monkeypatch):
    monkeypatch.setattr(chunk_inference, "_END_S", 0.01)
    entered, release = threading.Event(), threading.Event()

    def give(windows, begin):
        entered.set()
        release.wait(LONG_S)
        return echo(windows, begin)

    worker = make(WorkerThread, give)
    worker.submit(job())
    assert entered.wait(LONG_S)
    assert not worker.close()
    release.set()


HANG = """
import threading
from isthmus_deploy.chunk_executor import Request
from isthmus_deploy.policy.chunk_inference import Job, WorkerThread

class Hangs:
    entered = threading.Event()
    def step(self, signals, noise=None, begin=None):
        self.entered.set()
        threading.Event().wait()

worker = WorkerThread(Hangs())
worker.submit(Job(request=Request(number=1, episode=1, tick=0, init=None, kept=None), windows={}, begin=None))
Hangs.entered.wait()
print("closed:", worker.close())
"""


def test_a_worker_that_hangs_does_not_keep_the_process():
    ended = subprocess.run([sys.executable, "-c", HANG], capture_output=True, text=True, timeout=LONG_S)
    assert (ended.returncode, ended.stdout) == (0, "closed: False\n"), ended.stderr


def test_a_worker_of_a_real_time_loop_gives_way_to_it(make):
    """The loop's thread has priority 50, and its worker one less."""
    found, denied = [], []

    def give(windows, begin):
        found.append((os.sched_getscheduler(0), os.sched_getparam(0).sched_priority))
        return {}

    def loop():
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        except PermissionError as error:
            denied.append(error)
            return
        worker = make(WorkerThread, give)
        worker.submit(job())
        worker.close()

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    if denied:
        pytest.skip("no permission for real-time scheduling")
    assert found == [(os.SCHED_FIFO, 49)]
