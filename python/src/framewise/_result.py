"""A result file."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _rows
from ._errors import FramewiseError, reason
from ._file import ERRORS, attribute, find, open_file, require_room, text, values
from ._frames import BLOCK_BYTES, BLOCK_FRAMES, Frame, Frames
from ._geometry import Geometry
from ._job import Job
from ._status import Status

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms

BOOKS = "/parameters/framewise"
FRAME_RESULTS = {
    "energy": "/observables/trajectory/energy/value",
    "forces": "/particles/trajectory/forces/value",
    "stress": "/observables/trajectory/stress/value",
}

Selection: TypeAlias = "slice | ArrayLike | None"


def open(path: str | os.PathLike[str], *, group: str | None = None) -> Result:
    """Open a file of framewise for reading: a result, partial or not, also while a run writes it.

    ``group`` chooses one of several groups of results of ``framewise map``; without it, the one that was computed last.
    """
    return Result(path, group=group)


class Result(Job):
    """What ``framewise run`` or ``framewise map`` has written; or ``framewise import``, then without results.

    Arrays are ``h5py.Dataset``: slice them to read. Masks and states are read anew each time, so that they show what a
    run has committed meanwhile. Use it in a ``with``, or close it.
    """

    def __init__(self, path: str | os.PathLike[str], *, group: str | None = None) -> None:
        self.path = Path(path)
        self.file: h5py.File = open_file(self.path)
        """The file itself, for everything else that is in it."""
        try:
            self._examine(group)
        except ERRORS as error:
            self.close()
            raise FramewiseError(f"{self.path}: truncated or damaged ({reason(error)})") from error
        except FramewiseError:
            self.close()
            raise

    def _examine(self, group: str | None) -> None:
        books = find(self.file, BOOKS, h5py.Group)
        self._books: h5py.Group | None = books if group is None else self._books_of(group)
        self.attributes: dict[str, str] = {}
        """All that is recorded of the job, as text."""
        if self._books is not None:
            names = list(self._books.attrs)
            self.attributes = {name: text(attribute(self._books, name)) for name in names}
        said = self.attributes.get("results")
        self._columns: list[_rows.Column] = []
        self.group: str | None = None
        """Where the results of ``framewise map`` are in the file; ``None`` for frames."""
        self._geometry: Geometry | None = None
        if said is not None:
            self.group, self._columns = _rows.columns(self.path, said)
            self._n = int(self.status.shape[0])
        else:
            self._geometry = Geometry(self.path, self.file)
            self._n = self._geometry.n_frames
        if self._books is not None:
            for name in ("status", "seconds", "message", "checksum"):
                self._of_items(f"{self._books.name}/{name}")
            for found in self.results.values():
                require_room(self.path, found)

    def __enter__(self) -> Result:
        """Return the result."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; its datasets are of no use then."""
        self.file.close()

    def __repr__(self) -> str:
        """Return the path and what is in the file."""
        items = "rows" if self.group else "frames"
        what = self.attributes.get("level_of_theory") or self.attributes.get("kernel") or "no results"
        return f"<framewise.Result {str(self.path)!r}: {self._n} {items}, {what}>"

    def __len__(self) -> int:
        """Return the number of frames (F), or of rows (N)."""
        return self._n

    # What was computed.

    @property
    def has_results(self) -> bool:
        """Whether anything was computed here; an imported trajectory has none."""
        return self._books is not None

    @property
    def results(self) -> Mapping[str, h5py.Dataset]:
        """All that was computed, by name: energy, forces, stress of frames, or the results of a kernel, (N, elements)."""
        self._require_books()
        if self.group is not None:
            return {c.name: _rows.dataset(self.path, self.file, c, self._n) for c in self._columns}
        return {name: self._frame_result(name) for name in FRAME_RESULTS}

    @property
    def energy(self) -> h5py.Dataset:
        """Total energies (F), eV; NaN where a frame is not completed."""
        return self._frame_result("energy")

    @property
    def forces(self) -> h5py.Dataset:
        """Forces (F, A, 3), eV/Å, or (ΣA, 3) in ragged sets; NaN where a frame is not completed."""
        return self._frame_result("forces")

    @property
    def stress(self) -> h5py.Dataset:
        """Stresses (F, 3, 3), eV/Å³ with the sign of ASE; NaN where not completed or not defined."""
        return self._frame_result("stress")

    @property
    def status(self) -> h5py.Dataset:
        """States (F), see :class:`Status`."""
        return self._book("status")

    @property
    def seconds(self) -> h5py.Dataset:
        """Wall time of each evaluation (F), s; NaN where none was measured."""
        return self._book("seconds")

    @property
    def message(self) -> h5py.Dataset:
        """Why a frame failed (F), text in UTF-8; empty where it did not. See :meth:`messages`."""
        return self._book("message")

    @property
    def checksum(self) -> h5py.Dataset:
        """XXH3-64 of the results of each frame (F); ``framewise verify`` compares them."""
        return self._book("checksum")

    @property
    def completed(self) -> NDArray[np.bool_]:
        """Which frames are completed (F)."""
        return self._mask(Status.COMPLETED)

    @property
    def undefined(self) -> NDArray[np.bool_]:
        """Which frames are not computed yet (F)."""
        return self._mask(Status.UNDEFINED)

    @property
    def not_converged(self) -> NDArray[np.bool_]:
        """Which frames did not converge (F)."""
        return self._mask(Status.NOT_CONVERGED)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which frames failed (F), those that did not converge not among them."""
        return self._mask(Status.FAILED)

    def messages(self) -> dict[int, str]:
        """Why frames failed, by their index."""
        texts = values(self.path, self.message)
        return {int(i): text(texts[i]) for i in np.flatnonzero(texts != b"")}

    # Geometry.

    @property
    def positions(self) -> h5py.Dataset:
        """Positions (F, A, 3), Å, or (ΣA, 3) in ragged sets; of the input where the result links to it."""
        return self._frames_only().positions

    @property
    def species(self) -> h5py.Dataset:
        """Atomic numbers: (F, A), or (ΣA) in ragged sets; (A) in imported files whose frames all have the same."""
        return self._frames_only().species

    @property
    def cells(self) -> h5py.Dataset | None:
        """Cell vectors as rows, Å: (F, 3, 3), zeros without a cell; in imported files also (3, 3), or ``None``."""
        return self._frames_only().cells

    @property
    def periodic(self) -> Any:
        """Which directions repeat: an array (3), or a dataset (F, 3) where frames differ."""
        return self._frames_only().periodic

    @property
    def offsets(self) -> h5py.Dataset | None:
        """First atom of each frame, and the total, (F + 1), in ragged sets; else ``None``."""
        return self._frames_only().offsets

    @property
    def properties(self) -> Mapping[str, h5py.Dataset]:
        """Further properties of atoms: what ``framewise run --carry`` or ``framewise import`` has kept, by name.

        (F, A, ...), or (ΣA, ...) in ragged sets; the attribute ``unit`` says the unit where the source did.
        """
        return self._frames_only().properties()

    @property
    def frame_properties(self) -> Mapping[str, h5py.Dataset]:
        """Further properties of frames, kept in the same ways, by name: (F, ...)."""
        found = self._frames_only().frame_properties()
        return {name: dataset for name, dataset in found.items() if not (self.has_results and name in FRAME_RESULTS)}

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Atoms of each frame (F)."""
        return self._frames_only().n_atoms()

    # Frames and rows.

    @property
    def frames(self) -> Frames:
        """All frames, as a sequence that reads what is asked for."""
        self._frames_only()
        return Frames(self, np.arange(self._n, dtype=np.int64))

    @overload
    def __getitem__(self, which: int) -> Frame: ...

    @overload
    def __getitem__(self, which: slice) -> Frames: ...

    def __getitem__(self, which: int | slice) -> Frame | Frames:
        """Return a frame, or a sequence of them; negative indices count from the end."""
        return self.frames[which]

    def __iter__(self) -> Iterator[Frame]:
        """Read all frames, completed or not, in blocks."""
        return iter(self.frames)

    def select(self, frames: Selection = None) -> Frames:
        """Return the completed ones of ``frames``: a slice, indices or a mask; all of them without."""
        everything = self.frames
        if frames is None:
            indices = everything.indices
        else:
            which = frames if isinstance(frames, slice) else np.asarray(frames)
            if isinstance(which, np.ndarray) and not which.size:
                # NumPy takes an empty list for one of real numbers.
                which = which.astype(np.int64)
            try:
                indices = everything.indices[which]
            except IndexError as error:
                raise IndexError(f"{self.path}: {error}; it has {self._n} frames") from None
        if self.has_results:
            indices = indices[self.completed[indices]]
        return Frames(self, np.atleast_1d(indices))

    def row(self, index: int) -> dict[str, Any]:
        """Results of a kernel for one row, by name, in the shape that the kernel gave."""
        if self.group is None:
            raise FramewiseError(f"{self.path}: holds frames, not rows; use result[{index}]")
        if not -self._n <= index < self._n:
            raise IndexError(f"{self.path}: there is no row {index}: it has {self._n} rows")
        datasets = self.results
        return {c.name: np.reshape(datasets[c.name][index % self._n], c.shape)[()] for c in self._columns}

    def iter_ase(self, frames: Selection = None) -> Iterator[Atoms]:
        """Yield the completed ones of ``frames`` as ``ase.Atoms``, see :meth:`Frame.to_ase`; reads them in blocks.

        A trajectory without results gives all of them, without calculators.
        """
        return (frame.to_ase() for frame in self.select(frames))

    def to_ase(self, frames: Selection = None) -> list[Atoms]:
        """Return :meth:`iter_ase` as a list."""
        return list(self.iter_ase(frames))

    def to_pandas(self) -> pd.DataFrame:
        """Scalars of each frame or row, completed or not, see the README of this package."""
        from ._pandas import frame_of_scalars

        return frame_of_scalars(self)

    # Inside.

    def _books_of(self, group: str) -> h5py.Group:
        """The books of the job whose results are in ``group``."""
        known = []
        for number in builtins.range(-1, 1000):
            books = find(self.file, BOOKS if number < 0 else f"{BOOKS}_{number:03}", h5py.Group)
            if books is None:
                break
            said = attribute(books, "results")
            if said is None:
                continue
            known.append(_rows.columns(self.path, text(said))[0])
            if known[-1].strip("/") == group.strip("/"):
                return books
        has = ", ".join(known) or "none: it is no result of `framewise map`"
        raise FramewiseError(f"{self.path}: there is no group {group!r} of results; it has {has}")

    def _frames_only(self) -> Geometry:
        if self._geometry is None:
            raise FramewiseError(
                f"{self.path}: holds results of rows, which have no geometry; see its results: "
                + ", ".join(c.name for c in self._columns)
            )
        return self._geometry

    def _of_items(self, name: str) -> h5py.Dataset:
        found = find(self.file, name)
        if found is None:
            raise FramewiseError(f"{self.path}: dataset {name} is missing or damaged")
        if found.ndim == 0 or (hasattr(self, "_n") and found.shape[0] != self._n):
            raise FramewiseError(f"{self.path}: {name} has shape {found.shape}, but there are {self._n} frames")
        require_room(self.path, found)
        return found

    def _book(self, name: str) -> h5py.Dataset:
        return self._of_items(f"{self._require_books().name}/{name}")

    def _frame_result(self, name: str) -> h5py.Dataset:
        geometry = self._frames_only()
        self._require_books()
        path = FRAME_RESULTS[name]
        found = find(self.file, path)
        shape = {"energy": (self._n,), "stress": (self._n, 3, 3), "forces": geometry.positions.shape}[name]
        if found is None or found.shape != shape:
            raise FramewiseError(f"{self.path}: dataset {path} is missing or has not the shape {shape}")
        return found

    def _unit_of(self, name: str) -> str:
        return text(attribute(self.properties[name], "unit") or "")

    def _mask(self, status: Status) -> NDArray[np.bool_]:
        return np.asarray(values(self.path, self.status) == int(status))

    def _block_frames(self) -> int:
        atoms = int(self._frames_only().positions.size) // 3
        mean = 24 * atoms // max(self._n, 1)
        return max(1, min(BLOCK_FRAMES, BLOCK_BYTES // max(mean, 1)))

    def _read(self, start: int, stop: int) -> list[Frame]:
        """Read neighbouring frames; the states first: a state that says completed never precedes its results."""
        geometry = self._frames_only()
        n = stop - start
        try:
            if self.has_results:
                states = [Status(int(code)) for code in self.status[start:stop]]
                energy, stress = self.energy[start:stop], self.stress[start:stop]
                forces = geometry.of_atoms(self.forces, start, stop)
            else:
                states = [Status.UNDEFINED] * n
                energy, stress = np.full(n, np.nan), np.full((n, 3, 3), np.nan)
                forces = [np.full((b, 3), np.nan) for b in np.diff(geometry.bounds(start, stop))]
            positions = geometry.of_atoms(geometry.positions, start, stop)
            numbers = geometry.numbers(start, stop)
            cells, pbc = geometry.vectors(start, stop), geometry.pbc(start, stop)
            arrays = {name: geometry.each(dataset, start, stop) for name, dataset in self.properties.items()}
            info = {name: dataset[start:stop] for name, dataset in self.frame_properties.items()}
        except ERRORS as error:
            raise FramewiseError(f"{self.path}: frames {start}:{stop} cannot be read ({reason(error)})") from error
        return [
            Frame(
                index=start + i,
                numbers=numbers[i],
                positions=np.asarray(positions[i], dtype=np.float64),
                cell=cells[i],
                pbc=pbc[i],
                status=states[i],
                energy=float(energy[i]),
                forces=forces[i],
                stress=stress[i],
                arrays={name: rows[i] for name, rows in arrays.items()},
                info={name: text(of[i]) if isinstance(of[i], bytes) else of[i] for name, of in info.items()},
                units={name: unit for name in arrays if (unit := self._unit_of(name))},
            )
            for i in range(n)
        ]
