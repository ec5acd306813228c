"""One HTML page about a dataset; everything it shows is in it."""

from isthmus_datasets.report.page import page

__all__ = ["page"]
