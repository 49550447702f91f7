"""Positions, species and cells of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ._errors import FramewiseError
from ._file import attribute, find, require_room, text

PARTICLES = "/particles/trajectory"
OBSERVABLES = "/observables/trajectory"
KNOWN = {"position", "species", "box", "offsets", "forces", "force"}
ANGSTROM = {"", "Angstrom", "angstrom", "Å", "\u212b", "A", "Ang", "ang"}


class Geometry:
    """The group ``/particles/trajectory`` of a file.

    F frames of A atoms; in ragged sets ΣA atoms of all frames, one after the other.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.file = file
        group = find(file, PARTICLES, h5py.Group)
        if group is None or "position" not in group:
            raise FramewiseError(
                f"{path}: no frames of framewise in it (group {PARTICLES}/position is missing); give a result of "
                "`framewise run` or `framewise map`, or what `framewise import` wrote"
            )
        self.group = group
        self.offsets: h5py.Dataset | None = find(group, "offsets")
        self.species: h5py.Dataset = self._required("species", "species/value")
        positions = self.positions
        require_room(path, positions)
        length = text(attribute(positions, "unit") or "")
        if length not in ANGSTROM:
            raise FramewiseError(
                f"{path}: positions are in {length}, not in Angstrom; `framewise import` or `framewise run` converts them"
            )
        shape = positions.shape
        if self.offsets is None:
            if len(shape) != 3 or shape[2] != 3:
                raise FramewiseError(f"{path}: positions have shape {shape}, expected (frames, atoms, 3)")
            self.n_frames = int(shape[0])
        else:
            require_room(path, self.offsets)
            if len(shape) != 2 or shape[1] != 3 or self.offsets.ndim != 1 or self.offsets.shape[0] < 1:
                raise FramewiseError(f"{path}: positions have shape {shape}, expected (atoms of all frames, 3)")
            self.n_frames = int(self.offsets.shape[0]) - 1
        atoms = shape[:-1] if self.offsets is None else shape[:1]
        if self.species.shape not in {atoms, atoms[-1:]}:
            raise FramewiseError(f"{path}: species have shape {self.species.shape}, expected {atoms} or {atoms[-1:]}")
        self.cells: h5py.Dataset | None = find(group, "box/edges") or find(group, "box/edges/value")
        if self.cells is not None and self.cells.shape not in {(3, 3), (self.n_frames, 3, 3)}:
            raise FramewiseError(f"{path}: cells have shape {self.cells.shape}, expected (3, 3) or (frames, 3, 3)")
        self._fixed_species = self.offsets is None and self.species.ndim == 1
        self._fixed_cells = self.cells is not None and find(group, "box/edges") is not None
        boundary = attribute(group["box"], "boundary") if "box" in group else None
        words = ["none"] * 3 if boundary is None else [text(word) for word in np.broadcast_to(boundary, 3)]
        self._periodic = np.array([word == "periodic" for word in words])

    @property
    def positions(self) -> h5py.Dataset:
        """Positions (Å): (F, A, 3), or (ΣA, 3) in ragged sets."""
        link = self.group["position"].get("value", getlink=True)
        found = find(self.group, "position/value")
        if found is None and isinstance(link, h5py.ExternalLink):
            raise FramewiseError(
                f"{self.path}: its positions are in {link.filename} ({link.path}), which is not there; put the input "
                "back there, or run with `--geometry copy`"
            )
        return found if found is not None else self._required("position/value")

    @property
    def periodic(self) -> Any:
        """Which directions repeat: a dataset (F, 3) where frames differ, else an array (3)."""
        found = find(self.group, "box/periodic")
        return found if found is not None else self._periodic

    def properties(self) -> dict[str, h5py.Dataset]:
        """Everything else that the file says of its atoms, by name."""
        names = [name for name in self.group if name not in KNOWN]
        found = {name: find(self.group, f"{name}/value") or find(self.group, name) for name in names}
        return {name: dataset for name, dataset in found.items() if dataset is not None}

    def frame_properties(self) -> dict[str, h5py.Dataset]:
        """Everything that the file says of its frames, results among it, by name."""
        group = find(self.file, OBSERVABLES, h5py.Group)
        named = {} if group is None else {name: find(group, f"{name}/value") for name in group}
        return {name: d for name, d in named.items() if d is not None and d.ndim > 0 and d.shape[0] == self.n_frames}

    def _required(self, *names: str) -> Any:
        for name in names:
            found = find(self.group, name)
            if found is not None:
                return found
        raise FramewiseError(f"{self.path}: dataset {PARTICLES}/{names[0]} is missing or damaged")

    def bounds(self, start: int, stop: int) -> NDArray[np.int64]:
        """First atoms of frames ``start`` to ``stop``, and the end of the last: (stop - start + 1)."""
        if self.offsets is None:
            return np.arange(start, stop + 1, dtype=np.int64) * int(self.positions.shape[1])
        found = np.asarray(self.offsets[start : stop + 1], dtype=np.int64)
        if (np.diff(found) < 0).any() or found[0] < 0 or found[-1] > self.positions.shape[0]:
            raise FramewiseError(f"{self.path}: dataset {PARTICLES}/offsets is damaged between {start} and {stop}")
        return found

    def n_atoms(self) -> NDArray[np.int64]:
        """Atoms of each frame: (F)."""
        return np.diff(self.bounds(0, self.n_frames))

    def of_atoms(self, dataset: h5py.Dataset, start: int, stop: int) -> list[NDArray[Any]]:
        """Rows of a dataset of atoms, one array for each frame."""
        if self.offsets is None:
            return list(dataset[start:stop])
        bounds = self.bounds(start, stop)
        rows = dataset[bounds[0] : bounds[-1]]
        return [rows[a:b] for a, b in zip(bounds[:-1] - bounds[0], bounds[1:] - bounds[0], strict=True)]

    def each(self, dataset: h5py.Dataset, start: int, stop: int) -> list[NDArray[Any]]:
        """Rows of a property of atoms, one array for each frame; some are stored once for all frames."""
        if self.offsets is None and not str(dataset.name).endswith("/value"):
            return [dataset[()]] * (stop - start)
        return self.of_atoms(dataset, start, stop)

    def numbers(self, start: int, stop: int) -> list[NDArray[Any]]:
        """Atomic numbers of each frame."""
        if self._fixed_species:
            return [self.species[()]] * (stop - start)
        return self.of_atoms(self.species, start, stop)

    def vectors(self, start: int, stop: int) -> NDArray[np.float64]:
        """Cell vectors (Å) of each frame, as rows: (n, 3, 3); zeros where there is no cell."""
        if self.cells is None:
            return np.zeros((stop - start, 3, 3))
        if self._fixed_cells:
            return np.broadcast_to(np.asarray(self.cells[()], dtype=np.float64), (stop - start, 3, 3))
        return np.asarray(self.cells[start:stop], dtype=np.float64)

    def pbc(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which directions of each frame repeat: (n, 3)."""
        periodic = self.periodic
        if isinstance(periodic, h5py.Dataset):
            return np.asarray(periodic[start:stop], dtype=bool)
        return np.broadcast_to(np.asarray(periodic, dtype=bool), (stop - start, 3))
