"""What is recorded of the job that made a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py

from ._errors import FramewiseError
from ._file import find, text
from ._status import Run

RUN = Run.__dataclass_fields__


class Job:
    """The attributes and the run history of ``/parameters/framewise``."""

    path: Path
    attributes: dict[str, str]
    _books: h5py.Group | None

    @property
    def calculator(self) -> str | None:
        """Name of the calculator; ``None`` where a kernel computed."""
        return self.attributes.get("calculator")

    @property
    def kernel(self) -> str | None:
        """Name of the kernel; ``None`` where a calculator computed."""
        return self.attributes.get("kernel")

    @property
    def level_of_theory(self) -> str | None:
        """The name under which the results are known."""
        return self.attributes.get("level_of_theory")

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the calculator or kernel, defaults included."""
        try:
            return dict(json.loads(self.attributes.get("parameters", "{}")))
        except (ValueError, TypeError) as error:
            raise FramewiseError(f"{self.path}: attribute parameters makes no sense: the file is damaged") from error

    @property
    def versions(self) -> dict[str, str]:
        """Versions of framewise, HDF5 and MPI that made the file, and of the library that computed."""
        known = {"framewise": "framewise_version", "hdf5": "hdf5_version", "mpi": "mpi_version", "library": "library"}
        return {name: self.attributes[key] for name, key in known.items() if key in self.attributes}

    @property
    def history(self) -> list[Run]:
        """The runs that have written the file, oldest first; the last 256 of them."""
        slots = find(self._require_books(), "history")
        if slots is None or slots.size > 256:
            raise FramewiseError(f"{self.path}: its run history is damaged")
        runs = []
        for line in slots[()]:
            try:
                said = json.loads(line)
                runs.append(Run(**{name: said[name] for name in RUN}))
            except (ValueError, KeyError, TypeError):
                continue
        return sorted(runs, key=lambda run: run.number)

    @property
    def segments(self) -> dict[str, range]:
        """Which frames are those of which group of the input, where several were computed as one job; else nothing."""
        table = find(self._require_books(), "segments", h5py.Group)
        if table is None:
            return {}
        columns = [find(table, name) for name in ("key", "first_frame", "n_frames")]
        if any(column is None or column.shape != columns[0].shape for column in columns):
            raise FramewiseError(f"{self.path}: its table of groups is damaged")
        keys, first, count = (column[()] for column in columns)
        return {text(keys[i]): range(int(first[i]), int(first[i] + count[i])) for i in range(len(keys))}

    def _require_books(self) -> h5py.Group:
        if self._books is None:
            raise FramewiseError(
                f"{self.path}: holds frames but no results; `framewise run {self.path} -o RESULT --calculator NAME` "
                "computes them"
            )
        return self._books
