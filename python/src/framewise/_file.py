"""Opening files: read-only, without locks, and with one clear line where something is wrong."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import h5py

from ._errors import FramewiseError, reason

ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError)
"""What h5py raises where a file is damaged."""


def open_file(path: Path) -> h5py.File:
    """Open a file that somebody else may be writing.

    No lock is taken, so that no run is blocked; where this process has the file open already, it is opened as it was
    then, since HDF5 allows nothing else. Small reads go past HDF5's sieve buffer, so that an open file shows what a run has
    committed meanwhile.
    """
    if not path.exists():
        raise FramewiseError(f"{path}: no such file")
    if not path.is_file():
        raise FramewiseError(f"{path}: not a file")
    try:
        if not h5py.is_hdf5(path):
            raise FramewiseError(
                f"{path}: not an HDF5 file; `framewise import {path} -o X.h5` converts trajectories of other formats"
            )
        try:
            return _open(path, (False, True))
        except OSError as error:
            if "don't match" not in str(error):
                raise
        for locking in (None, (True, True), (True, False), (False, False)):
            with contextlib.suppress(OSError):
                return _open(path, locking)
        raise FramewiseError(f"{path}: this process has it open in a way that cannot be shared; close it there first")
    except ERRORS as error:
        raise FramewiseError(
            f"{path}: truncated or damaged HDF5 file ({reason(error)}); copy it again from its source"
        ) from error


def _open(path: Path, locking: tuple[bool, bool] | None) -> h5py.File:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_sieve_buf_size(0)
    # HDF5 before 1.10.7 has no such call; HDF5_USE_FILE_LOCKING=FALSE does it there.
    if locking is not None and hasattr(access, "set_file_locking"):
        access.set_file_locking(*locking)
    return h5py.File(h5py.h5f.open(str(path).encode(), h5py.h5f.ACC_RDONLY, access))


def values(path: Path, dataset: h5py.Dataset, rows: slice = slice(None)) -> Any:
    """Read rows of a dataset; what it is stored in may be gone, or open elsewhere."""
    try:
        return dataset[rows]
    except ERRORS as error:
        raise FramewiseError(f"{path}: dataset {dataset.name} cannot be read ({reason(error)})") from error


def find(parent: Any, name: str, kind: type = h5py.Dataset) -> Any:
    """Return what is called ``name``, or ``None`` where it is missing, unreadable, or something else."""
    try:
        found = parent.get(name)
    except ERRORS:
        return None
    return found if isinstance(found, kind) else None


def text(value: Any) -> str:
    """Text from a file, which may hold anything."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


def attribute(holder: Any, name: str) -> Any:
    """Return an attribute, or ``None`` where it is missing or unreadable."""
    try:
        return holder.attrs[name]
    except ERRORS:
        return None


def require_room(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse a contiguous dataset with fewer bytes than its shape says: a damaged shape asks for any amount of memory."""
    wanted = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if dataset.chunks is None and 0 < stored < wanted:
        raise FramewiseError(
            f"{path}: dataset {dataset.name} has shape {dataset.shape} but only {stored} bytes: the file is damaged; "
            "copy it again from its source"
        )
