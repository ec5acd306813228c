"""A policy in the safety chain, the same in simulation, in tests and on the robot."""

from collections.abc import Mapping

from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.commands.filter import GoalLimiter


class PolicyController(SafetyChain):
    """The chain that one runtime drives. A goal that is plausible but was never asked in training is held to the
    trained range.

    Args:
        runtime: The loaded policy.
        ramp_s: Time in which the policy takes over from the stand-by command.

    Raises:
        ValueError: it is a policy of chunks.
    """

    def __init__(self, runtime: Runtime, *, ramp_s: float = 0.3):
        if runtime.contract.chunk is not None:
            raise ValueError("a policy of chunks is not driven step by step: it reads windows and gives chunks")
        super().__init__(runtime.contract, conditions=runtime.conditions(), ramp_s=ramp_s)
        self._runtime = runtime
        self._goals = GoalLimiter(runtime.contract)

    @property
    def runtime(self) -> Runtime:
        """The policy that is run."""
        return self._runtime

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return self._goals.clamped_steps

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell, by name."""
        return {**super().counters, "clamped_goals": self.clamped_goals}

    def start(self, now_ns: int) -> None:
        """stand-by → ramp-in: the policy starts with its memory reset. Raises TransitionError as the chain does."""
        super().start(now_ns)
        self._goals.reset()
        self._runtime.reset()

    def tick(self, signals: Values, ages_s: Mapping[str, float], now_ns: int) -> Values:
        """One control period, driven by the policy: `drive` says what goes in and out."""
        return self.drive(signals, ages_s, now_ns, lambda: self._runtime.step(self._goals.apply(signals)))
