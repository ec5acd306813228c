"""The page and its operator, without a browser: what they show and decide."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from isthmus_datasets.recording.operator import Controller, Decision, Event
from isthmus_datasets.recording.robot import Observation, RobotFeatures, quantities
from isthmus_datasets.teleop import browser
from isthmus_datasets.teleop.browser import BrowserOperator
from isthmus_datasets.teleop.browser_device import BrowserDevice
from isthmus_datasets.teleop.markup import Titles, keys_table, message_line
from isthmus_datasets.teleop.operators.human import HumanOperator
from isthmus_datasets.teleop.operators.plane_guide import PlaneGuide
from isthmus_datasets.teleop.operators.take_over import TakeOver
from isthmus_datasets.teleop.page import Page, Stand
from isthmus_datasets.teleop.view import View

MODEL = """
<mujoco>
  <worldbody>
    <geom type="plane" size="1 1 0.1" rgba="1 1 1 1"/>
    <body name="disc"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
      <geom type="cylinder" size="0.05 0.01" rgba="0 0 1 1"/>
      <geom type="sphere" size="0.05" group="3"/><geom type="sphere" size="0.05" rgba="0 0 0 0"/>
    </body>
  </worldbody>
</mujoco>"""
FEATURES = RobotFeatures(
    robot_type="disc",
    columns={"state": quantities({"x": "m", "y": "m"})},
    cameras={"scene": (8, 10)},
    action=quantities({"x": "m", "y": "m"}),
    success=True,
)
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def seen(x: float, y: float, *, success: bool = False) -> Observation:
    return Observation(
        columns={"state": np.array((x, y), np.float32)}, images={"scene": np.zeros((8, 10, 3), np.uint8)},
        capture_time_ns={"state": 0, "scene": 0}, success=success,
    )  # fmt: skip


class Policy:
    """Always to the corner."""

    name = "policy"

    def reset(self, seed: int) -> None:
        pass

    def decide(self, observation: Observation) -> Decision:
        return Decision(action=np.array((1.0, 1.0), np.float32), control=Controller.POLICY)

    def resume(self) -> None:
        pass

    def close(self) -> None:
        pass


def model(radius: float = 0.05) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(MODEL.replace("0.05 0.01", f"{radius} 0.01"))


@pytest.fixture
def guide() -> PlaneGuide:
    return PlaneGuide(
        FEATURES, place=("x", "y"), scale=(1, 1), origin=(0, 0), minimum=(-1, -1), maximum=(1, 1), speed_m_s=1.0
    )


@pytest.fixture
def page(guide: PlaneGuide) -> Iterator[Page]:
    page = Page(
        model,
        lambda: (np.zeros(2), np.zeros((0, 3))),
        Titles(task="reach", words="reach", dataset="x", keys={"W A": "move"}),
        Stand(eye=(0, 0, 1), up=(0, 1, 0), target_m=0.1, plane_m=0.0),
        BrowserDevice(),
        guide=guide,
        cameras=FEATURES.cameras,
        port=0,
    )
    page.device.came()
    yield page
    page.close()


@pytest.fixture
def operator(page: Page, guide: PlaneGuide) -> BrowserOperator:
    operator = BrowserOperator(page, HumanOperator(page.device, guide, rate_hz=10), guide, rate_hz=10)
    operator.reset(0)
    return operator


def test_the_target_begins_at_the_robot_and_goes_where_it_is_dragged(operator: BrowserOperator, page: Page):
    assert operator.decide(seen(0.3, 0.4)).action == pytest.approx((0.3, 0.4))
    page.device.drag((0.5, -0.6, 0.0), UPRIGHT)
    decision = operator.decide(seen(0.3, 0.4))
    assert decision.action == pytest.approx((0.5, -0.6))
    assert decision.control is Controller.HUMAN
    page.device.key("W")
    assert operator.decide(seen(0.3, 0.4)).action == pytest.approx((0.6, -0.6)), "0.1 s at 1 m/s"


def test_success_of_the_robot_ends_the_episode_only_while_it_is_recorded(operator: BrowserOperator, page: Page):
    assert operator.decide(seen(0, 0, success=True)).event is Event.NONE
    page.device.ask(Event.START)
    assert operator.decide(seen(0, 0)).event is Event.START
    assert operator.decide(seen(0, 0, success=True)).event is Event.SUCCESS


def test_a_closed_page_stops_the_robot_where_it_is_and_discards(
    operator: BrowserOperator, page: Page, monkeypatch: pytest.MonkeyPatch
):
    page.device.ask(Event.START)
    operator.decide(seen(0, 0))
    page.device.drag((1.0, 1.0, 0.0), UPRIGHT)
    operator.decide(seen(0, 0))
    page.device.left()
    held = operator.decide(seen(0.2, 0.3))
    assert (held.action, held.event) == (pytest.approx((0.2, 0.3)), Event.NONE)
    assert operator.decide(seen(0.25, 0.3)).action == pytest.approx((0.2, 0.3)), "it does not creep"
    monkeypatch.setattr(browser, "PATIENCE_S", 0.0)
    assert operator.decide(seen(0.2, 0.3)).event is Event.DISCARD
    assert "closed" in operator.given_up
    operator.reset(1)
    assert operator.decide(seen(0.2, 0.3)).event is Event.NONE, "nothing is being recorded"
    assert not operator.given_up


def test_a_page_that_comes_back_in_time_spoils_nothing(operator: BrowserOperator, page: Page):
    page.device.ask(Event.START)
    operator.decide(seen(0, 0))
    page.device.left()
    operator.decide(seen(0, 0))
    page.device.came()
    page.device.drag((0.5, 0.5, 0.0), UPRIGHT)
    assert operator.decide(seen(0, 0)).action == pytest.approx((0.5, 0.5))


def test_a_page_that_is_only_looked_at_may_be_closed(page: Page, guide: PlaneGuide, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(browser, "PATIENCE_S", 0.0)
    operator = BrowserOperator(page, HumanOperator(page.device, guide, rate_hz=10), guide, rate_hz=10, at_page=False)
    page.device.ask(Event.START)
    operator.decide(seen(0, 0))
    page.device.left()
    assert operator.decide(seen(0, 0)).event is Event.NONE


def test_start_lets_the_policy_drive_from_the_first_step_and_people_take_over(page: Page, guide: PlaneGuide):
    page.device._hand_over = True
    human = HumanOperator(page.device, guide, rate_hz=10)
    operator = BrowserOperator(page, TakeOver(human, Policy(), human_first=True), guide, rate_hz=10)
    operator.reset(0)
    assert operator.decide(seen(0.1, 0.1)).action == pytest.approx((0.1, 0.1)), "it waits"
    page.device.ask(Event.START)
    first = operator.decide(seen(0.1, 0.1))
    assert (first.control, first.event) == (Controller.POLICY, Event.START)
    page.device.control(True)
    taken = operator.decide(seen(0.7, 0.7))
    assert taken.control is Controller.HUMAN
    assert taken.action == pytest.approx((0.7, 0.7)), "without a jump"
    page.device.control(False)
    assert operator.decide(seen(0.7, 0.7)).control is Controller.POLICY


def test_only_what_can_be_seen_is_drawn_and_follows(page: Page):
    view = View(page._server, model())
    assert len(view.meshes) == 2
    view.show((0.25, -0.5))
    assert view._bodies[1].position == pytest.approx((0.25, -0.5, 0.0))


def test_a_thing_of_another_size_is_drawn_anew_in_the_next_episode(page: Page):
    view = View(page._server, model())
    before = dict(view.meshes)
    view.renew(model())
    assert view.meshes == before, "the same is not sent again"
    view.renew(model(radius=0.08))
    changed = [geom for geom in before if view.meshes[geom] is not before[geom]]
    assert len(changed) == 1
    assert np.abs(view.meshes[changed[0]].vertices).max() == pytest.approx(0.08, rel=1e-3)


def test_what_comes_from_outside_is_no_markup():
    assert "<b>" not in message_line("episode of <b>", good=True)
    assert "<b>" not in keys_table({"<b>": "<b>"})
