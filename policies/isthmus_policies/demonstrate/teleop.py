"""`isthmus-teleop TASK DATASET`: a page in the browser where a person demonstrates."""

from __future__ import annotations

import signal
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.operator import DeviceError, Driver, Event
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import CameraError
from isthmus_datasets.recording.robot_columns import next_seed, open_dataset
from isthmus_datasets.teleop.browser import BrowserOperator
from isthmus_datasets.teleop.browser_device import BrowserDevice
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.devices.combined import CombinedDevice
from isthmus_datasets.teleop.devices.gamepad import Gamepad
from isthmus_datasets.teleop.devices.keyboard import Keyboard
from isthmus_datasets.teleop.devices.motion import Device
from isthmus_datasets.teleop.devices.spacemouse import SpaceMouse
from isthmus_datasets.teleop.markup import Titles
from isthmus_datasets.teleop.operators.human import HumanOperator
from isthmus_datasets.teleop.operators.take_over import Human, TakeOver
from isthmus_datasets.teleop.operators.teleop_controller import TeleopController
from isthmus_datasets.teleop.page import Page
from isthmus_datasets.tools.cli import Check
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.timing.machine_load import machine_load
from isthmus_policies.actor_learner.actor import Actor
from isthmus_policies.actor_learner.driver import ActorDriver
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.demonstrate.demonstration import (
    Demonstration,
    ShownRobot,
    demonstrated_tasks,
    find_demonstration,
)
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.leader import LeaderOptions, leader_arm
from isthmus_policies.demonstrate.policy_operator import policy_for
from isthmus_policies.demonstrate.review import Reviewer
from isthmus_policies.demonstrate.ros2.options import Ros2Options, connect_shown
from isthmus_policies.demonstrate.session import Session
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.registry import RegistryError
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

SCRIPT = "script"
LEARNER_PATIENCE_S = 30.0
"""The episode is given up when the learner was silent for so long."""
DEVICES: dict[str, Callable[[], Device]] = {"keyboard": Keyboard, "gamepad": Gamepad, "spacemouse": SpaceMouse}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Demonstrate a task by hand, in simulation or with a robot on ROS 2, in a new dataset or one to go on with. Open
    the page that is printed."""

    task: Annotated[str, tyro.conf.Positional]
    """Name of the task."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    episodes: int | None = None
    """How many are saved before it ends; by default the page or Ctrl-C ends it."""
    max_seconds: float = 120.0
    """Length of the longest episode, s: then it is ended and kept."""
    device: Literal["page", "keyboard", "gamepad", "spacemouse"] = "page"
    """What the person holds besides the page: the keyboard of this terminal, a gamepad, a SpaceMouse."""
    robot: Annotated[Ros2Options, tyro.conf.OmitArgPrefixes] = field(default_factory=Ros2Options)
    leader_arm: Annotated[LeaderOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=LeaderOptions)
    policy: str = ""
    """A policy file that drives from the start of an episode, until the person takes over; or "script"."""
    learn: Path | None = None
    """Folder of a run that isthmus-train --algorithm sac-robot writes: its policy drives when it is given control, and
    learns from what it does and from what you do in its place."""
    compatible: tuple[Path, ...] = ()
    """Two runs or more by isthmus-train-chunks --method cloning, of the same demonstrations: the page says of every new
    one whether it fits these, and begins again from the same start where it does not."""
    seed: int | None = None
    """Seed of the first episode's start; each has one more than the one before. By default 0, or the next after the
    dataset's own."""
    calibration: tuple[Path, ...] = ()
    """Files of isthmus-calibrate: cameras of those names see from where the real ones are."""
    lossless: tuple[str, ...] = ()
    """Cameras of a new dataset that are stored without loss."""
    host: str = "127.0.0.1"
    """Address at which the page is served; 0.0.0.0 lets other computers in: whoever reaches it moves the robot."""
    port: int = 8080
    """Port of the page: the next free one is taken when it is not free, and any for 0."""
    open: bool = True
    """Open the page in this computer's browser."""


def run(options: Options) -> int:
    """Serve the page and record; the exit code.

    Raises:
        CalibrationError: a camera cannot be placed.
        CameraError: one of a robot on ROS 2 gives nothing.
        DatasetError: the dataset cannot be gone on with.
        DeviceError: the device is not there.
        PolicyFileError: the policy cannot be used.
        RecordingError: a finished episode still finds no room on the disk.
        Refusal: there is no such robot on ROS 2, or it may not be driven.
        RegistryError: nobody demonstrates the task so.
        UnsupportedError: something is not installed.
        ValueError: there is no such run to learn in, or it is of another task.
        OSError: the page cannot be served, or the disk is full.
    """
    if note := machine_load().real_time_note():
        print(note, flush=True)
    demonstration, run = find_demonstration(options.task, *needed_parts(options)), learning_run(options)
    task = run.task if run else make_task(options.task)
    rate = round(1 / task.robot.control_period_s)
    with ExitStack() as stack:
        robot = stack.enter_context(closing(make_robot(options, demonstration, task)))
        learning = ActorDriver(run, robot.signals, patience_s=LEARNER_PATIENCE_S, starts=False) if run else None
        other = learning or other_operator(options, demonstration, task.robot, robot)
        browser = BrowserDevice(hand_over=other is not None)
        stack.enter_context(ended_by_signals(browser))
        human, guide = person(options, demonstration, browser, robot, task.robot)
        driver = stack.enter_context(closing(TakeOver(human, other, human_first=True) if other else human))
        writer = stack.enter_context(open_dataset(options.dataset, robot.features, fps=rate, lossless=options.lossless))
        page = stack.enter_context(
            closing(make_page(options, demonstration, robot, browser, guide, take_over=other is not None))
        )
        at_page = guide is not None and options.device == "page"
        operator = BrowserOperator(page, driver, guide, rate_hz=rate, at_page=at_page)
        whole = operator
        if run and learning:
            experience = stack.enter_context(closing(run.experience()))
            whole = Actor(operator, learning, experience, steps=task.episode_steps)
        recorder = stack.enter_context(
            Recorder(
                robot, whole, writer, task=demonstration.words, max_steps=max(1, round(options.max_seconds * rate))
            )
        )
        seed = next_seed(options.dataset) if options.seed is None else options.seed
        print(f"open {page.url}  (Ctrl-C ends)", flush=True)
        if options.open:
            webbrowser.open(page.url)
        reviewer = Reviewer(options.compatible, options.dataset) if options.compatible else None
        Session(recorder, operator, page, reviewer).run(seed, options.episodes)
        print(f"{options.dataset}: {recorder.summary()}", flush=True)
        saved = recorder.summary().saved
    return checked(options.dataset) if saved else 0


def learning_run(options: Options) -> LearningRun | None:
    """The run that learns meanwhile. Raises ValueError, OSError."""
    if options.learn is None:
        return None
    if options.policy:
        raise ValueError("--learn has a policy of its own: leave --policy out")
    run = LearningRun.of(options.learn)
    if run.task.name != options.task:
        raise ValueError(f"{options.learn} learns the task {run.task.name!r}, not {options.task!r}")
    return run


def make_robot(options: Options, demonstration: Demonstration, task: Task) -> ShownRobot:
    """The robot, simulated or on ROS 2. Raises CalibrationError, CameraError, Refusal, UnsupportedError."""
    options.robot.refuse_unused()
    if not options.robot.ros:
        return EnvRobot(task, cameras=demonstration.view_maker(options.calibration))
    if options.calibration:
        raise CalibrationError("--calibration places simulated cameras; with --ros they are where they are")
    return connect_shown(options.robot, task.robot)


def needed_parts(options: Options) -> list[str]:
    """What the task's demonstration must have for what is asked."""
    guide, script = options.leader_arm.leader is None, options.policy == SCRIPT
    return ["view", *(["guide"] if guide else []), *(["script"] if script else [])]


def other_operator(
    options: Options, demonstration: Demonstration, description: RobotDescription, robot: ShownRobot
) -> Driver | None:
    """Who else drives. Raises PolicyFileError, UnsupportedError."""
    if not options.policy:
        return None
    if options.policy != SCRIPT:
        return policy_for(Path(options.policy), description, robot)
    if options.robot.ros:
        raise UnsupportedError("a script sees what only a simulator tells: it cannot drive with --ros")
    assert demonstration.script is not None
    return demonstration.script(0.0, 1.0)


def person(
    options: Options,
    demonstration: Demonstration,
    browser: BrowserDevice,
    robot: ShownRobot,
    description: RobotDescription,
) -> tuple[Human, TeleopController | None]:
    """Who demonstrates, by the page and what they hold, and the guide that they move; a leader arm moves none. Raises
    DeviceError."""
    hands = CombinedDevice([browser, DEVICES[options.device]()]) if options.device in DEVICES else browser
    if options.leader_arm.leader is not None:
        return leader_arm(options.leader_arm.leader, options.leader_arm, hands, description), None
    assert demonstration.guide is not None
    rate_hz = round(1 / description.control_period_s)
    guide = demonstration.guide(robot, rate_hz)
    return HumanOperator(hands, guide, rate_hz=rate_hz), guide


def make_page(
    options: Options,
    demonstration: Demonstration,
    robot: ShownRobot,
    browser: BrowserDevice,
    guide: TeleopController | None,
    *,
    take_over: bool,
) -> Page:
    """The page, served. Raises OSError when it cannot be."""
    assert demonstration.view is not None
    keys = demonstration.keys if guide is not None else {"Leader": "the robot follows it"}
    return Page(
        lambda: demonstration.model(robot),
        lambda: (robot.qpos, robot.mocap),
        Titles(task=options.task, words=demonstration.words, dataset=str(options.dataset), keys=keys),
        demonstration.view,
        browser,
        guide=guide,
        cameras=robot.features.cameras,
        gripper=demonstration.gripper,
        take_over=take_over,
        host=options.host,
        port=options.port,
    )


@contextmanager
def ended_by_signals(browser: BrowserDevice) -> Iterator[None]:
    """Ctrl-C and SIGTERM press Quit, so that what is being saved is saved; a second one does not wait for that."""

    def quit_first(number: int, _: object) -> None:
        signal.signal(number, signal.default_int_handler)
        browser.ask(Event.QUIT)

    before = {number: signal.signal(number, quit_first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def checked(dataset: Path) -> int:
    """Check what there is now, and say so; the checker's exit code."""
    code = Check(path=dataset).run(Console())
    print(f"next: isthmus-dataset check {dataset}", flush=True)
    return code


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    tasks = f"Tasks that the page can show: {', '.join(demonstrated_tasks('view'))}."
    options = tyro.cli(Options, prog="isthmus-teleop", description=f"{Options.__doc__} {tasks}", args=arguments)
    use_thread_budget()
    try:
        sys.exit(run(options))
    except (
        RegistryError, DatasetError, DeviceError, PolicyFileError, RecordingError, UnsupportedError, CalibrationError,
        CameraError, Refusal, ValueError, OSError,
    ) as error:  # fmt: skip
        sys.exit(f"isthmus-teleop: {error}")


if __name__ == "__main__":
    main()
