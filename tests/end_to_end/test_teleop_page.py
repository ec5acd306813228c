"""`isthmus-teleop` as a person meets it: the real command, a page in a real browser, a mouse, keys."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Controller
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.scan.gather import gather
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.tasks.push_t import DEMONSTRATION
from isthmus_policies.files import write_json
from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.robots.pusher.description import MIDDLE, PIXEL
from isthmus_sim.tasks import make_task

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
TIMEOUT_S = 60
VIEW = DEMONSTRATION.view

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a browser; on Debian: apt-get install chromium")


@contextmanager
def teleop(dataset: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, and where its page is."""
    command = [
        sys.executable,
        "-m",
        "isthmus_policies.demonstrate.teleop",
        "push_t",
        str(dataset),
        "--no-open",
        *arguments,
    ]
    environment = {**os.environ, "COLUMNS": "160"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            url = re.compile(r"open (http://\S+)")
            found = next(filter(None, map(url.match, process.stdout)), None)  # on a busy machine it says that first
            assert found, process.communicate()[1]
            yield found[1], process
        finally:
            process.kill()


@contextmanager
def browser_at(url: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *SOFTWARE_GL])
        page = browser.new_page(viewport={"width": 1200, "height": 760})
        page.set_default_timeout(1000 * TIMEOUT_S)
        page.goto(url)
        until(page, "waiting")
        yield page
        browser.close()


def until(page: Page, phase: str, steps: int = 0) -> None:
    """The page says so; so many steps of the episode are done."""
    script = "([phase, steps]) => { const state = document.querySelector('#isthmus-state')?.dataset;" \
             " return state && state.phase === phase && +state.steps >= steps; }"  # fmt: skip
    page.wait_for_function(script, arg=[phase, steps])


def steps(page: Page) -> int:
    return int(page.locator("#isthmus-state").get_attribute("data-steps") or 0)


def told(page: Page, message: str) -> None:
    page.locator("#isthmus-message", has_text=re.compile(message)).wait_for()


def on_screen(page: Page, place: NDArray[np.float64]) -> tuple[float, float]:
    """Where a place on the table (2,) px is seen: from right above, at the height of the handle."""
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    assert VIEW is not None
    assert VIEW.plane_m is not None
    metre = box["height"] / (2 * math.tan(VIEW.fov_rad / 2) * (VIEW.eye[2] - VIEW.plane_m))
    x, y = (place - MIDDLE) * PIXEL * metre + (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    return float(x), float(y)


def disc_at_start(seed: int) -> NDArray[np.float64]:
    """(2,) px."""
    with closing(EnvRobot(make_task("push_t"))) as robot:
        robot.reset(seed)
        return robot.observe().columns["state"][:2].astype(np.float64)


def drag(page: Page, begin: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """The mouse takes what is at one place on the table and brings it to the other."""
    page.mouse.move(*on_screen(page, begin))
    page.mouse.down()
    page.mouse.move(*on_screen(page, end), steps=6)
    page.mouse.up()


def test_a_person_records_two_episodes_and_discards_a_third(tmp_path: Path):
    dataset, goal = tmp_path / "recorded", np.array((400.0, 120.0))
    with teleop(dataset, "--port", "0") as (url, process), browser_at(url) as page:
        with_keys(page)
        with_mouse(page, goal, tmp_path / "dragged.png")
        discarded(page)
        page.screenshot(path=tmp_path / "discarded.png")
        page.get_by_role("button", name="Quit").click()
        until(page, "ended")
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "2 episodes saved" in output
    assert re.search(r"steps, .*: (nothing found|0 errors)", output), "it checks what it has recorded"
    keys, mouse = episodes(dataset)
    assert np.ptp(keys["action"][:, 0]) > 20, "the arrow key moved the target to the right"
    assert np.diff(keys["action"][:, 0]).min() >= 0
    assert np.ptp(keys["action"][:, 1]) < 1
    assert mouse["action"][0] == pytest.approx(disc_at_start(1), abs=1)
    assert mouse["action"][-1] == pytest.approx(goal, abs=4), "where the mouse let go, seen from where it was before"
    assert mouse["observation.state"][-1, :2] == pytest.approx(goal, abs=8), "the robot followed"


def with_keys(page: Page) -> None:
    page.keyboard.press("r")
    until(page, "recording")
    page.keyboard.down("ArrowRight")
    until(page, "recording", steps(page) + 6)
    page.keyboard.up("ArrowRight")
    until(page, "recording", steps(page) + 3)
    page.keyboard.press("f")
    told(page, "episode 0 saved.*success")
    until(page, "waiting")


def with_mouse(page: Page, goal: NDArray[np.float64], image: Path) -> None:
    page.get_by_role("button", name="Start").click()
    until(page, "recording", 3)
    drag(page, disc_at_start(1), goal)
    until(page, "recording", steps(page) + 15)
    page.screenshot(path=image)
    page.get_by_role("button", name="Stop and keep").click()
    told(page, "episode 1 saved")
    until(page, "waiting")


def discarded(page: Page) -> None:
    page.keyboard.press("r")
    until(page, "recording", 3)
    drag(page, disc_at_start(2), np.array((256.0, 256.0)))
    until(page, "recording", steps(page) + 3)
    page.get_by_role("button", name="Discard").click()
    told(page, "discarded")
    until(page, "waiting")


def episodes(dataset: Path) -> list[dict[str, NDArray]]:
    """Columns of the two; that they are whole, a person's, and without a defect."""
    reader = DatasetReader(dataset)
    assert reader.num_episodes == 2
    columns = [reader.columns(index) for index in range(2)]
    for index, episode in enumerate(columns):
        assert (episode["control"] == Controller.HUMAN).all()
        assert len(reader.frames(index, "observation.images.scene")) == len(episode["action"])
    assert not [finding for finding in run_checks(gather(dataset)) if finding.severity == "error"]
    return columns


def test_a_person_takes_over_from_a_policy_that_learns_meanwhile(tmp_path: Path):
    """It drives from the start, the person from "Take over" to "Give back"; the learner is told all of it."""
    usual = default_config("push_t", algorithm="sac-robot")
    config = replace(usual, algorithm=replace(usual.algorithm, exchange=tmp_path / "exchange"))
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "config.json", config)
    with closing(Trainer(config)) as learner:
        alive = threading.Event()
        beating = threading.Thread(target=beat, args=(learner.algorithm, alive))
        beating.start()
        with (
            teleop(tmp_path / "data", "--port", "0", "--learn", str(folder)) as (url, process),
            browser_at(url) as page,
        ):
            page.keyboard.press("r")
            until(page, "recording", 10)
            page.get_by_role("button", name="Take over").click()
            until(page, "recording", steps(page) + 10)
            page.screenshot(path=tmp_path / "taken.png")
            page.get_by_role("button", name="Give back").click()
            until(page, "recording", steps(page) + 10)
            page.keyboard.press("Enter")
            told(page, "episode 0 saved")
            page.get_by_role("button", name="Quit").click()
            _, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, errors
        alive.set()
        beating.join()
        learner.algorithm.close()  # pyright: ignore[reportAttributeAccessIssue]
    with closing(LearningRun.of(folder).experience()) as experience:
        rows = experience.read(0, 1000)
    by_person = rows["intervened"]
    changes = np.flatnonzero(np.diff(by_person.astype(int)))
    assert len(changes) == 2
    assert not by_person[0]
    assert not by_person[-1]
    assert np.flatnonzero(rows["taken"]).tolist() == [changes[0]]
    assert rows["truncated"][-1] or rows["terminated"][-1]
    recorded = DatasetReader(tmp_path / "data").columns(0)
    np.testing.assert_array_equal(recorded["intervention"][:, 0], by_person)


def beat(learner: Any, ended: threading.Event) -> None:
    """The learner lives, until it is told that it need not."""
    while not ended.wait(0.5):
        learner._board.beat()
