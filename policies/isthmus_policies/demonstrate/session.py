"""A session of demonstrations: episodes one after the other, and the page that shows what becomes of them."""

from __future__ import annotations

from isthmus_datasets.recording.operator import DeviceError, Event
from isthmus_datasets.recording.outcome import Outcome, RecordingError
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.teleop.browser import BrowserOperator
from isthmus_datasets.teleop.markup import Phase
from isthmus_datasets.teleop.page import Page
from isthmus_policies.demonstrate.review import Reviewer


class Session:
    """A recorder, and the page that shows what becomes of it; and who reviews what was saved, if anybody does."""

    def __init__(
        self, recorder: Recorder, operator: BrowserOperator, page: Page, reviewer: Reviewer | None = None
    ) -> None:
        self._recorder, self._operator, self._page, self._reviewer = recorder, operator, page, reviewer
        self._again = False

    def run(self, seed: int, wanted: int | None) -> None:
        """Record until so many are saved, or somebody quits. Episodes begin with `seed`, `seed` + 1, …; with the same
        once more where the last one was not compatible."""
        self._wanted = wanted
        self._count()
        while wanted is None or self._recorder.summary().saved < wanted:
            if self._record(seed) is Event.QUIT:
                break
            seed += not self._again
        self._page.panel.phase(Phase.ENDED)

    def _record(self, seed: int) -> Event:
        self._again = False
        try:
            outcome = self._recorder.record(seed)
        except (RecordingError, DeviceError) as error:
            self._tell(str(error), good=False)
            self._page.panel.phase(Phase.FAILED)
            return self._page.device.wait()  # Nothing is recorded until somebody says that the cause is gone.
        if outcome.steps:
            message, good = self._told(outcome)
            self._tell(message, good=good)
        return outcome.event

    def _told(self, outcome: Outcome) -> tuple[str, bool]:
        """What is told of an episode, and whether that is good."""
        message = outcome_message(outcome, self._operator.given_up)
        if outcome.index is None or self._reviewer is None:
            return message, outcome.index is not None
        review = self._reviewer.review(outcome.index)
        self._again = not review.compatible
        return f"{message}; {review.words}", review.compatible

    def _tell(self, message: str, *, good: bool) -> None:
        self._count()
        self._page.panel.tell(message, good=good)
        print(message, flush=True)

    def _count(self) -> None:
        summary = self._recorder.summary()
        self._page.panel.count(summary.saved, summary.discarded, self._wanted)


def outcome_message(outcome: Outcome, why: str) -> str:
    """What became of an episode; `why` it was discarded, if that was not asked for."""
    if outcome.index is None:
        return f"{outcome.reason}{': ' if why else ''}{why}"
    success = ", success" if outcome.event is Event.SUCCESS else ""
    doubt = f", but {outcome.reason}" if outcome.reason else ""
    return f"episode {outcome.index} saved: {outcome.steps} steps{success}{doubt}"
