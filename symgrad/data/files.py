"""Rows of a file, read a block at a time: what a memory map ends the process for is an error here."""

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from symgrad.errors import ArrayError, ArrayTypeError


class FileRows:
    """The rows of a file of numbers, for every function of a compiled risk in place of an array.

    A ``.npy`` file says itself what it holds; of any other, ``dtype`` and ``columns`` do: rows of so many numbers, one
    after the other, or one number for each row. A sweep reads a block of rows at a time, with ``pread`` into memory of
    its own. So a file that another program cuts short or that cannot be read is an `ArrayError` or an `OSError`, where
    a memory map ends the process with SIGBUS; a map of a file that nobody touches is faster. The file stays open:
    one that is replaced by renaming another is read to its end as it was.
    """

    reads_rows = True  # so a sweep knows that it can ask for a block, as a slice
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __init__(
        self, path: str | os.PathLike[str], *, dtype: DTypeLike | None = None, columns: int | None = None
    ) -> None:
        self.path = Path(path)
        self._file = self.path.open("rb", buffering=0)
        self._start = 0
        if dtype is None:
            self._describe()
        else:
            self.dtype = np.dtype(dtype)
            self._refuse_kind()
            self.shape = self._counted(columns)

    @property
    def _row_size(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape[1:]))

    @property
    def ndim(self) -> int:
        """The number of axes, as of an array."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of all numbers, as of an array."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (str(self.path.absolute()), self.dtype, self.shape, self._start)

    def __repr__(self) -> str:
        return f"<FileRows {str(self.path)!r}: {self.dtype} of shape {self.shape}>"

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Any:
        if copy is False:
            raise ValueError(f"{self.path}: a file's rows are read, and cannot be had without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, rows: slice) -> Any:
        """Return some rows that follow one another, as an array of their own."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise ArrayTypeError(f"rows: expected a slice first:end, got {rows!r}; numpy.asarray reads the whole file")
        first, end, _ = rows.indices(len(self))
        block = np.empty((max(end - first, 0), *self.shape[1:]), self.dtype)
        memory = block.reshape(-1).view(np.uint8).data
        at, done = self._start + first * self._row_size, 0
        while done < len(memory):
            done += self._read(memory[done:], at + done)
        return block

    def _read(self, memory: memoryview, at: int) -> int:
        try:
            read = os.preadv(self._file.fileno(), [memory], at)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        if read == 0:
            row = (at - self._start) // self._row_size
            raise ArrayError(
                f"{self.path}: expected {len(self)} rows of {self._row_size} bytes, got the end of the file in row "
                f"{row}, at byte {at}; it was cut short after it was opened: open it again when it is whole"
            )
        return read

    def _describe(self) -> None:
        """Take what a .npy file says of itself, and where its numbers begin."""
        self.shape, fortran, self.dtype = _header(self._file, self.path)
        self._refuse_kind()
        if not self.shape or (fortran and self.ndim > 1 and max(self.shape[1:]) > 1):
            raise ArrayError(
                f"{self.path}: expected an array of rows in C order, got shape {self.shape}"
                f"{' in Fortran order' * fortran}; write it with numpy.save(path, numpy.ascontiguousarray(array))"
            )
        self._start = self._file.tell()
        wanted, found = self._start + self.dtype.itemsize * self.size, os.fstat(self._file.fileno()).st_size
        if found < wanted:
            raise ArrayError(
                f"{self.path}: expected {wanted} bytes for shape {self.shape}, got {found}; was it written to its end?"
            )

    def _counted(self, columns: int | None) -> tuple[int, ...]:
        """Return the shape of a file without a header."""
        if columns is not None and (isinstance(columns, bool) or not isinstance(columns, int) or columns < 1):
            raise ArrayError(
                f"columns: expected a positive whole number or None, got {columns!r}; None: one number a row"
            )
        row, size = self.dtype.itemsize * (columns or 1), os.fstat(self._file.fileno()).st_size
        if size % row:
            raise ArrayError(
                f"{self.path}: expected whole rows of {row} bytes, got {size} bytes, {size // row} rows and "
                f"{size % row} bytes; are dtype and columns right, and was it written to its end?"
            )
        return (size // row,) if columns is None else (size // row, columns)

    def _refuse_kind(self) -> None:
        if self.dtype.kind not in "fiub" or self.dtype.itemsize > 8:
            raise ArrayTypeError(
                f"{self.path}: expected real numbers of at most 8 bytes, got {self.dtype}; convert them"
            )


def _reopened(path: str, dtype: np.dtype[Any], shape: tuple[int, ...], start: int) -> FileRows:
    """Return the rows that a pickle names, of the file of that path here; refused where they are others' by size."""
    columns = None if len(shape) == 1 else shape[1]
    rows = FileRows(path) if start else FileRows(path, dtype=dtype, columns=columns)
    if (rows.dtype, rows.shape) != (dtype, shape):
        raise ArrayError(
            f"{path}: expected {dtype} of shape {shape}, as when it was pickled, got {rows.dtype} of shape "
            f"{rows.shape}; the file is another here: open it with FileRows(path)"
        )
    return rows


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file)
    except ValueError as error:
        raise ArrayError(f"{path}: expected a .npy file, got {error}; for another, say dtype= and columns=") from error
