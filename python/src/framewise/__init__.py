"""Reads what framewise writes, with h5py and numpy alone.

>>> import framewise
>>> with framewise.open("r.h5") as result:  # doctest: +SKIP
...     energies = result.energy[result.completed]

A result opens while a run writes it, is never written, and keeps its large arrays on the disk until somebody slices them.
Lengths are in Å, energies in eV, forces in eV/Å, stresses in eV/Å³ with the sign of ASE.
"""

from ._errors import FramewiseError
from ._frames import Frame, Frames
from ._result import Result, open
from ._status import Run, Status

__all__ = ["Frame", "Frames", "FramewiseError", "Result", "Run", "Status", "open"]
__version__ = "0.1.0"
