"""Results of ``framewise map``: where the file says that they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from ._errors import FramewiseError
from ._file import find, require_room


@dataclass(frozen=True)
class Column:
    """One result of a kernel."""

    name: str
    path: str
    shape: tuple[int, ...]
    """What one row gives; () is one number. Stored flat, (rows, elements)."""


def columns(path: Path, said: str) -> tuple[str, list[Column]]:
    """Return the group of the results and what is in it, from the attribute ``results`` of a job."""
    try:
        told: dict[str, Any] = json.loads(said)
        group = str(told["group"])
        found = [
            Column(str(spec["name"]), f"{group}/{spec['name']}", tuple(int(n) for n in spec["shape"]))
            for spec in told["results"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise FramewiseError(f"{path}: attribute results of its job makes no sense: the file is damaged") from error
    return group, found


def dataset(path: Path, file: h5py.File, column: Column, rows: int) -> h5py.Dataset:
    """Return the dataset of a result, (rows, elements)."""
    found = find(file, column.path)
    elements = 1
    for n in column.shape:
        elements *= n
    if found is None or found.shape != (rows, elements):
        raise FramewiseError(f"{path}: {column.path} is not what its job says of it: the file is damaged")
    require_room(path, found)
    return found
