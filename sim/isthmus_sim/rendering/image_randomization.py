"""Random changes of images, of the kind that differ between one camera and another: with OpenCV, on uint8 RGB."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ImageRandomization:
    """How much an image may change; every range is drawn from evenly, and (0, 0) or (1, 1) leaves it as it is.

    Args:
        brightness: Added to all values, as a share of 255.
        contrast: Factor of the distance from the image's mean.
        hue: Turn of the hue, degrees.
        saturation: Factor.
        blur: Standard deviation of a Gaussian blur, px of an image 96 px high.
        noise: Standard deviation of what is added to every value, as a share of 255.
        shift: Moved by up to so much in x and in y, as a share of its sides; the rim is repeated.
        crop: Share of the sides that stays, of a part somewhere in the image, made as large as it was.
        cut_out: Side of a square of one color somewhere over the image, as a share of its height.

    Raises:
        ValueError: a range is upside down or has values that mean nothing; the message names it.
    """

    brightness: Range = (-0.15, 0.15)
    contrast: Range = (0.75, 1.25)
    hue: Range = (-12.0, 12.0)
    saturation: Range = (0.7, 1.3)
    blur: Range = (0.0, 0.8)
    noise: Range = (0.0, 0.03)
    shift: Range = (-0.03, 0.03)
    crop: Range = (0.94, 1.0)
    cut_out: Range = (0.0, 0.15)

    def __post_init__(self) -> None:
        signed, most = ("brightness", "hue", "shift"), {"crop": 1.0, "cut_out": 1.0}
        for field in fields(self):
            low, high = getattr(self, field.name)
            least = -np.inf if field.name in signed else 0.0
            if not least <= low <= high <= most.get(field.name, np.inf):
                raise ValueError(f"{field.name} cannot be from {low} to {high}")
        if self.crop[0] == 0.0:
            raise ValueError("crop cannot be from 0: nothing of the image would stay")


def randomize(image: Image, config: ImageRandomization, random: np.random.Generator) -> Image:
    """A changed copy of `image` (H, W, 3): first what is seen of it moves, then color, lens and sensor change."""
    image = _moved(image, config, random)
    image = _colored(image, config, random)
    image = _blurred(image, random.uniform(*config.blur) * len(image) / 96)
    image = _noisy(image, 255 * random.uniform(*config.noise), random)
    return _cut(image, random.uniform(*config.cut_out), random)


def _moved(image: Image, config: ImageRandomization, random: np.random.Generator) -> Image:
    size = np.array(image.shape[1::-1], np.float64)
    share, shift = random.uniform(*config.crop), random.uniform(*config.shift, 2) * size
    corner = random.uniform(0.0, 1.0, 2) * (1.0 - share) * size - shift
    if share == 1.0 and not shift.any():
        return image.copy()
    matrix = np.array(((share, 0.0, corner[0]), (0.0, share, corner[1])))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(image, matrix, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _colored(image: Image, config: ImageRandomization, random: np.random.Generator) -> Image:
    turn, saturation = random.uniform(*config.hue), random.uniform(*config.saturation)
    contrast, brightness = random.uniform(*config.contrast), 255 * random.uniform(*config.brightness)
    values = image.astype(np.float32)
    if turn != 0.0 or saturation != 1.0:
        hsv = cv2.cvtColor(values, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + turn) % 360.0
        hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0.0, 1.0)
        values = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if contrast != 1.0:
        values = values.mean() + contrast * (values - values.mean())
    return _to_bytes(values + brightness)


def _blurred(image: Image, sigma: float) -> Image:
    if sigma < 0.05:  # less than a hundredth of a value
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _noisy(image: Image, sigma: float, random: np.random.Generator) -> Image:
    if sigma == 0.0:
        return image
    return _to_bytes(image + sigma * random.standard_normal(image.shape, np.float32))


def _cut(image: Image, share: float, random: np.random.Generator) -> Image:
    """Cover a square, which may be partly outside, with one color."""
    side = round(share * len(image))
    x, y = (int(random.integers(-side + 1, length)) if side else 0 for length in image.shape[1::-1])
    color = random.integers(0, 256, 3)
    image[max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)] = color
    return image


def _to_bytes(values: NDArray[Any]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
