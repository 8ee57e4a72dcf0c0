"""Data in place of arrays, for every function of a compiled risk: tables, files of rows, sources with names."""

from .arguments import Samples, arrays_of, samples_of
from .columns import labels_of
from .files import FileRows
from .names import elements_of
from .sources import Block, Source
from .tables import frame_of, is_table

__all__ = [
    "Block", "FileRows", "Samples", "Source", "arrays_of", "elements_of", "frame_of", "is_table", "labels_of",
    "samples_of",
]  # fmt: skip
