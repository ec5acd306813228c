"""Demonstrations that others recorded, in their formats, as episodes."""

from isthmus_datasets.importers.opening import import_dataset, open_source
from isthmus_datasets.importers.source import ImportOptions, Source

__all__ = ["ImportOptions", "Source", "import_dataset", "open_source"]
