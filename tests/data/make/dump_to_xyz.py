"""LAMMPS text dump (id element x y z or xu yu zu) -> extended XYZ.

usage: dump_to_xyz.py IN.dump OUT.xyz "T T T" [nominal height of the cell along z]
"""
import sys

import numpy as np

from common import Frame, write_xyz

source, target, pbc = sys.argv[1:4]
height = float(sys.argv[4]) if len(sys.argv) > 4 else None
pbc = [p == "T" for p in pbc.split()]
frames = []
lines = iter(open(source).read().splitlines())
for line in lines:
    if line.startswith("ITEM: NUMBER"):
        n = int(next(lines))
    elif line.startswith("ITEM: BOX"):
        b = np.array([[float(x) for x in next(lines).split()] for _ in range(3)])
        xy, xz, yz = b[:, 2] if b.shape[1] == 3 else (0.0, 0.0, 0.0)
        lo = b[:, 0] - [min(0, xy, xz, xy + xz), min(0, yz), 0]
        hi = b[:, 1] - [max(0, xy, xz, xy + xz), max(0, yz), 0]
        w = hi - lo
        if not pbc[2] and height:
            w[2] = height
        cell = np.array([[w[0], 0, 0], [xy, w[1], 0], [xz, yz, w[2]]])
    elif line.startswith("ITEM: ATOMS"):
        rows = [next(lines).split() for _ in range(n)]
        frames.append(Frame([r[1] for r in rows], [[float(x) for x in r[2:5]] for r in rows],
                            cell if any(pbc) else None, pbc))
write_xyz(target, frames)
