"""Frames: one at a time, or as a sequence that reads them in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from ._errors import FramewiseError
from ._status import Status

if TYPE_CHECKING:
    from ase import Atoms

    from ._result import Result

BLOCK_BYTES = 16 << 20
"""Positions that are read at a time."""
BLOCK_FRAMES = 4096
"""Frames that are read at a time, at most."""

VELOCITIES = {"Angstrom fs-1": 1.0, "Angstrom ps-1": 1e-3, "nm ps-1": 1e-2, "nm ns-1": 1e-5, "m s-1": 1e-5}
"""Units of velocities, in Å/fs."""


@dataclass(frozen=True)
class Frame:
    """One frame with A atoms, in memory.

    What was computed is NaN where the frame is not completed, and stress also where it is not defined.
    """

    index: int
    """Its place in the trajectory, from 0."""
    numbers: NDArray[np.int32]
    """Atomic numbers (A)."""
    positions: NDArray[np.float64]
    """Positions (A, 3), Å."""
    cell: NDArray[np.float64]
    """Cell vectors (3, 3), rows, Å; zeros where there is no cell."""
    pbc: NDArray[np.bool_]
    """Which directions repeat (3)."""
    status: Status
    """Its state."""
    energy: float
    """Total energy (eV)."""
    forces: NDArray[np.float64]
    """Forces (A, 3), eV/Å."""
    stress: NDArray[np.float64]
    """Stress (3, 3), eV/Å³, sign of ASE."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Further properties of its atoms, by name: (A, ...)."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """Further properties of the frame, by name."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of ``arrays``, where the file says them."""

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.numbers)

    @property
    def completed(self) -> bool:
        """Whether there are results."""
        return self.status is Status.COMPLETED

    def to_ase(self) -> Atoms:
        """Convert to ``ase.Atoms``; its calculator has energy, forces and stress where the frame is completed.

        Stress is in ASE's order of Voigt (xx, yy, zz, yz, xz, xy), and left out where it is not defined. ``info["frame"]``
        is the index of the frame. Further properties go into ``arrays`` and ``info``, and where ASE has a place of its own
        for them (velocities in a unit that is known here, masses in u, charges in e) there.
        """
        try:
            from ase import Atoms
            from ase.calculators.singlepoint import SinglePointCalculator
            from ase.stress import full_3x3_to_voigt_6_stress
        except ImportError as error:
            raise FramewiseError("to_ase needs ASE: pip install ase") from error
        atoms = Atoms(
            numbers=self.numbers,
            positions=self.positions,
            cell=self.cell,
            pbc=self.pbc,
            info={**self.info, "frame": self.index},
        )
        self._give_properties(atoms)
        if self.completed:
            results: dict[str, Any] = {"energy": self.energy, "forces": self.forces}
            if not np.isnan(self.stress).any():
                results["stress"] = full_3x3_to_voigt_6_stress(self.stress)
            atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms

    def _give_properties(self, atoms: Atoms) -> None:
        from ase.units import fs

        for name, values in self.arrays.items():
            unit = self.units.get(name, "")
            if name == "velocity" and unit in VELOCITIES:
                atoms.set_velocities(values * (VELOCITIES[unit] / fs))
            elif name == "mass" and unit in ("", "u"):
                atoms.set_masses(values)
            elif name == "charge" and unit in ("", "e"):
                atoms.set_initial_charges(values)
            elif name not in atoms.arrays:
                atoms.set_array(name, values)


class Frames(Sequence[Frame]):
    """Frames of a result by index, read when they are asked for: ``result.frames[-1]``, ``result.frames[10:20]``."""

    def __init__(self, result: Result, indices: NDArray[np.int64]) -> None:
        self._result = result
        self.indices = indices
        """Places of the frames in the trajectory."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.indices)

    @overload
    def __getitem__(self, which: int) -> Frame: ...

    @overload
    def __getitem__(self, which: slice) -> Frames: ...

    def __getitem__(self, which: int | slice) -> Frame | Frames:
        """Return a frame, or a sequence of frames that is not read yet."""
        if isinstance(which, slice):
            return Frames(self._result, self.indices[which])
        try:
            index = int(self.indices[which])
        except IndexError:
            raise IndexError(f"{self._result.path}: there is no frame {which}: it has {len(self)} frames") from None
        return self._result._read(index, index + 1)[0]

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames in blocks of neighbours."""
        for start, stop in self._blocks():
            yield from self._result._read(start, stop)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Runs of neighbours that fit into a block."""
        most = self._result._block_frames()
        at = 0
        while at < len(self.indices):
            part = self.indices[at : at + most]
            ends = np.flatnonzero(np.diff(part) != 1)
            length = int(ends[0]) + 1 if len(ends) else len(part)
            yield int(part[0]), int(part[0]) + length
            at += length
