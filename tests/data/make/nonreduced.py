"""Other descriptions of the same triclinic crystal.

usage: nonreduced.py TRICLINIC.xyz ROTATED.xyz

Appends to TRICLINIC.xyz its last frame with another cell of the same lattice: c -> c + 2a - b
(tilt factors far beyond LAMMPS' usual half box length). Energy, forces and stress do not change.
Writes to ROTATED.xyz two of its frames in a general orientation, and one with a left-handed cell.
"""
import sys

import numpy as np

from common import Frame, read_xyz, write_xyz

frames = read_xyz(sys.argv[1])
last = frames[-1]
cell = np.array([[1, 0, 0], [0, 1, 0], [2, -1, 1]]) @ last.cell
write_xyz(sys.argv[1], frames + [Frame(last.species, last.positions, cell, last.pbc)])
q, r = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))
q *= np.sign(np.diag(r)) * [np.sign(np.linalg.det(q * np.sign(np.diag(r)))), 1, 1]
rotated = [Frame(f.species, f.positions @ q, f.cell @ q, f.pbc) for f in frames[:3]]
rotated[2].cell = rotated[2].cell[[1, 0, 2]]
write_xyz(sys.argv[2], rotated)
