"""What is registered under a name: robots, tasks and engines, the project's own and those of other packages.

Each is an entry point of an installed distribution; the project registers what it ships in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class RegistryError(ValueError):
    """Something registered cannot be had; the message names it, its package, and what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The distribution that registered something, and its version."""

    package: str
    version: str


class Registry(Mapping[str, T], Generic[T]):
    """The members of one entry-point group by name. A member is imported when it is asked for, and then kept.

    Args:
        group: Name of the entry-point group, such as "isthmus.tasks".
        kind: What a member is, for messages, such as "task".
        type_: What a member must be an instance of.

    Raises:
        RegistryError: two distributions registered the same name, there is no such name, or a member does not import
            or is of another type.
    """

    def __init__(self, group: str, kind: str, type_: type[T]) -> None:
        self.group, self.kind = group, kind
        self._type = type_
        self._loaded: dict[str, T] = {}

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            other = points.get(point.name)
            if other is not None and other.value != point.value:
                raise RegistryError(
                    f"the {self.kind} {point.name!r} is registered twice: by {_origin(other).package} ({other.value}) "
                    f"and by {_origin(point).package} ({point.value}); rename or uninstall one"
                )
            points[point.name] = point
        return points

    def __getitem__(self, name: str) -> T:
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> T:
        point = self._point(name)
        try:
            member = point.load()
        except (Exception, SystemExit) as error:  # a module of another package may raise anything while it is imported
            others = ", ".join(other for other in self if other != name) or "none"
            problem = does_not_load(_origin(point).package, point.value, error)
            raise RegistryError(f"the {self.kind} {name!r} {problem}; others: {others}") from error
        if not isinstance(member, self._type):
            raise RegistryError(
                f"the {self.kind} {name!r} of {_origin(point).package}: {point.value} is a {type(member).__name__}, "
                f"it must be a {self._type.__name__}"
            )
        return member

    def _point(self, name: str) -> EntryPoint:
        if name not in self._points:
            raise RegistryError(f"unknown {self.kind} {name!r}; there are: {', '.join(self)}")
        return self._points[name]

    def origin(self, name: str) -> Origin:
        """Who registered the member."""
        return _origin(self._point(name))

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)


def does_not_load(package: str, where: str, error: BaseException) -> str:
    """The end of a sentence, in one line: that something of a package does not load, why, and what to do."""
    why = " ".join(f"{type(error).__name__}: {error}".split())
    return f"of {package} does not load from {where}: {why}; mend {package} or uninstall it"


def _origin(point: EntryPoint) -> Origin:
    assert point.dist is not None, "entry points of installed distributions know theirs"
    return Origin(package=point.dist.name, version=point.dist.version)
