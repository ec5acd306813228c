"""The configuration of a chunk policy's training: the command line, the run's config.json, and in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from isthmus_datasets.training.normalizer import Mode
from isthmus_policies.chunks.chunk_policy import CHUNK_POLICIES
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.encoder import EncoderConfig
from isthmus_policies.files import from_json
from isthmus_policies.training.config import Chosen

MethodT = TypeVar("MethodT")
DenoiserT = TypeVar("DenoiserT")

RESUMABLE = ("checkpoint_every", "keep", "torch_threads")
"""What may change when a run is gone on with. The learning rate's schedule knows the number of steps."""


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How the network learns: AdamW, a learning rate that warms up and then falls as a cosine, averaged weights."""

    steps: int = 20_000
    """Batches."""
    batch_size: int = 256
    rate: float = 3e-4
    """Learning rate after the warm-up."""
    warmup: int = 500
    """Steps in which it rises."""
    betas: tuple[float, float] = (0.95, 0.999)
    """AdamW's, as Chi et al. 2023 have them."""
    weight_decay: float = 1e-6
    clip: float = 1.0
    """Largest norm of the gradient."""
    average: float = 0.9999
    """Most that the averaged weights keep of themselves in a step; from 0 up as 1 - (1 + step) ** -0.75."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size) < 1 or self.warmup < 0 or self.rate <= 0 or self.clip <= 0:
            raise ValueError(f"steps, batch size, rate and clip must be positive: {self}")
        if not 0.0 <= self.average < 1.0:
            raise ValueError(f"averaged weights keep a share from 0 to below 1 of themselves, not {self.average}")


@dataclass(frozen=True, kw_only=True)
class RollOuts:
    """Trying the policy in simulation while it is trained."""

    task: str | None = None
    """Registered name of the task; none: it is not tried."""
    every: int = 5_000
    """Steps between two tries."""
    episodes: int = 50
    seed: int = 10_000
    """Seed of the first episode."""

    def __post_init__(self) -> None:
        if self.every < 1 or self.episodes < 2:
            raise ValueError(f"tries are at least a step apart and have at least 2 episodes: {self}")


@dataclass(frozen=True, kw_only=True)
class ChunkTrainConfig(Generic[MethodT, DenoiserT]):
    """One training run of a chunk policy."""

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the datasets."""
    method_name: Chosen = "flow"
    """Registered name of the method."""
    denoiser_name: Chosen = "mlp"
    """Registered name of the denoiser."""
    columns: tuple[str, ...] = ()
    """Columns that the policy observes; by default all of numbers whose name begins with `observation.`. `none`:
    cameras alone."""
    cameras: tuple[str, ...] = ()
    """Cameras that it observes; by default none."""
    goal: tuple[str, ...] = ()
    """Those of the columns in which it is told where to; a later moment of the demonstration is the goal."""
    angles: tuple[str, ...] = ()
    """Which numbers are angles, rad, as COLUMN:PLACE such as observation.state:4: the network sees cosine and sine."""
    frames: tuple[str, ...] = ()
    """Places that the network is also told in a moving frame, as COLUMN:X,Y@X,Y,ANGLE: observation.state:0,1@2,3,4 is
    where numbers 0 and 1 are for one who is at 2 and 3 and looks along 4."""
    mirror: tuple[str, ...] = ()
    """A symmetry that the task has, as COLUMN=NUMBER,NUMBER…, of all columns that are read and given: what each number
    is in the mirror, [OFFSET][+-]PLACE. Half of the windows are shown mirrored."""
    action: str = "action"
    """Column that it shall give."""
    size: tuple[int, int] = (96, 96)
    """Height and width of images."""
    crop: int = 4
    """Most pixels by which training shifts images, as random crops do."""
    recolor: bool = True
    """Whether training changes brightness, contrast and saturation of images."""
    observed: int = 2
    """Rows of an observation, up to the current step."""
    horizon: int = 16
    """Actions of a chunk."""
    scaling: Mode = "min_max"
    """How columns and actions are scaled."""
    constant: Literal["refuse", "keep"] = "refuse"
    """What becomes of a channel that never changes: it is refused by name, or kept as it is."""
    validation: float = 0.05
    """Share of the episodes that are kept from training, to judge it on."""
    weights: Path | None = None
    """File by isthmus-compatibility: how often windows of each episode are drawn, instead of each once an epoch."""
    seed: int = 0
    """Seed of everything random. On a CPU the same seed gives the same policy, bit for bit, with equally many
    threads."""
    checkpoint_every: int = 1_000
    """Steps between checkpoints; there is always one at the end and on Ctrl-C."""
    keep: int = 5
    """How many of the last policies are kept and reported: the best of many is best by chance too."""
    torch_threads: int = 2
    learning: Learning = field(default_factory=Learning)
    roll_outs: RollOuts = field(default_factory=RollOuts)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    method: MethodT
    """The method's own settings."""
    denoiser: DenoiserT
    """The denoiser's own settings."""

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ValueError("a training needs at least one dataset")
        if min(self.observed, self.horizon, self.checkpoint_every, self.keep, self.torch_threads, *self.size) < 1:
            raise ValueError("observed, horizon, checkpoint_every, keep, torch_threads and size must be at least 1")
        if not 0.0 < self.validation < 1.0:
            raise ValueError(f"validation is a share of the episodes between 0 and 1, not {self.validation}")


AnyConfig = ChunkTrainConfig[Any, Any]


def config_type(method: str, denoiser: str) -> Any:
    """`ChunkTrainConfig` with the settings of a method and a denoiser. Raises ValueError for an unknown name."""
    configs = CHUNK_POLICIES[method].config, DENOISERS[denoiser].config
    return ChunkTrainConfig[tuple(type(config) for config in configs)]  # pyright: ignore[reportInvalidTypeArguments]


def default_config(
    datasets: tuple[Path, ...], method: str = "flow", denoiser: str = "mlp", **changes: Any
) -> AnyConfig:
    """How a method is trained unless something else is said. Raises ValueError for an unknown name."""
    return ChunkTrainConfig(
        datasets=datasets,
        method_name=method,
        denoiser_name=denoiser,
        method=CHUNK_POLICIES[method].config,
        denoiser=DENOISERS[denoiser].config,
        **changes,
    )


def config_from_json(value: dict[str, Any]) -> AnyConfig:
    """The configuration that `write_json` took apart. A run from before there were weights had none. Raises ValueError
    naming what is unknown or missing."""
    value = {"weights": None} | value
    names = [value.get(key) for key in ("method_name", "denoiser_name")]
    if not all(isinstance(name, str) for name in names):
        return from_json(ChunkTrainConfig[Any, Any], value)  # says which key is missing or wrong
    return from_json(config_type(*names), value)  # pyright: ignore[reportArgumentType]
