"""A symmetry that a task has, such as left and right: windows are also shown as a mirror has them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkSpec, Tensors

_NUMBER = re.compile(r"(?:(?P<offset>[+-]?\d+(?:\.\d+)?)?(?P<sign>[+-]))?(?P<place>\d+)")
_EXACT = 1e-3  # of how far two reflections may lead: offsets are written in decimals


@dataclass(frozen=True)
class Image:
    """The mirror image of a row (…, size): number i becomes offset[i] + sign[i] * the number at index[i]."""

    index: tuple[int, ...]
    sign: tuple[float, ...]
    offset: tuple[float, ...]

    def of(self, rows: Tensor) -> Tensor:
        return rows[..., list(self.index)] * rows.new_tensor(self.sign) + rows.new_tensor(self.offset)


@dataclass(frozen=True)
class Mirror:
    """Column -> its image; empty for a task without a symmetry."""

    images: dict[str, Image]

    @classmethod
    def parsed(cls, said: tuple[str, ...], spec: ChunkSpec) -> Mirror:
        """What the command line says: COLUMN=NUMBER,NUMBER… with a NUMBER for each of the column's, which is
        [OFFSET][+-]PLACE: 512-1 is 512 minus the number at place 1, -0 turns the sign, 2 stays.

        Raises ValueError for what is not that, where a column that the policy reads or gives has no image, where it
        sees images, which no text mirrors, and for a mirror that does not lead back when it is looked at twice.
        """
        if not said:
            return cls(images={})
        sizes = {**spec.columns, spec.action: spec.action_size}
        images = dict(_parsed(text, sizes) for text in said)
        if missing := [name for name in sizes if name not in images]:
            raise ValueError(f"mirror: what is {', '.join(missing)} in the mirror? All that the policy reads and gives")
        if spec.cameras:
            raise ValueError(f"mirror: {', '.join(spec.cameras)} would not be mirrored; leave out the mirror")
        for name, image in images.items():
            _check_leads_back(name, image)
        return cls(images=images)

    def half_mirrored(self, batch: Tensors, generator: torch.Generator) -> dict[str, Tensor]:
        """A batch of windows, each as it is or, as likely, as the mirror has it: observations, goal and actions."""
        result = dict(batch)
        if not self.images:
            return result
        rows = next(iter(batch.values())).shape[0]
        mirrored = torch.rand(rows, generator=generator) < 0.5
        for column, image in self.images.items():
            for name in {column, f"goal.{column}"} & batch.keys():
                chosen = mirrored.view(-1, *(1,) * (batch[name].dim() - 1))
                result[name] = torch.where(chosen, image.of(batch[name]), batch[name])
        return result


def _parsed(text: str, sizes: dict[str, int]) -> tuple[str, Image]:
    column, _, numbers = text.partition("=")
    if column not in sizes:
        raise ValueError(f"mirror: {text!r} is of no column that the policy reads or gives: {', '.join(sizes)}")
    found = [_NUMBER.fullmatch(number.strip()) for number in numbers.split(",")]
    known = [match for match in found if match]
    if len(known) != sizes[column] or len(found) != sizes[column]:
        raise ValueError(
            f"mirror: {text!r} is not COLUMN=NUMBER,NUMBER… with {sizes[column]} times [OFFSET][+-]PLACE, such as "
            f"{column}=" + ",".join(f"-{place}" for place in range(sizes[column]))
        )
    image = Image(
        index=tuple(int(match["place"]) for match in known),
        sign=tuple(-1.0 if match["sign"] == "-" else 1.0 for match in known),
        offset=tuple(float(match["offset"] or 0.0) for match in known),
    )
    if sorted(image.index) != list(range(sizes[column])):
        raise ValueError(f"mirror: {text!r} must name each place from 0 to {sizes[column] - 1} once")
    return column, image


def _check_leads_back(column: str, image: Image) -> None:
    places = torch.arange(1.0, len(image.index) + 1.0)
    astray = (image.of(image.of(places)) - places).abs() > _EXACT
    if bool(astray.any()):
        which = ", ".join(str(int(place)) for place in astray.nonzero()[:, 0])
        raise ValueError(f"mirror: seen twice, {column} is not what it was; look at its numbers at {which}")
