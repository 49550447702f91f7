"""Start structures of the LAMMPS runs and the frames that need no MD.

usage: start.py WORKDIR
"""
import sys

import numpy as np

from common import Frame, lammps_data, write_xyz

work = sys.argv[1]
rng = np.random.default_rng(20240521)
FCC = np.array([[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]])
DIAMOND = np.vstack([FCC, FCC + .25])


def supercell(basis, n, a):
    shifts = np.array([[i, j, k] for i in range(n[0]) for j in range(n[1]) for k in range(n[2])])
    return (shifts[:, None, :] + basis[None]).reshape(-1, 3) * a


def periodic(name, species, pos, cell):
    fr = Frame(species, pos, cell, (True,) * 3)
    lammps_data(f"{work}/{name}.start.data", fr, sorted(set(species)))


# 108 argon atoms at the density of the liquid near 90 K
a = 17.4 / 3
periodic("argon", ["Ar"] * 108, supercell(FCC, (3, 3, 3), a), np.diag([17.4] * 3))
# 64 argon atoms in a strongly tilted cell
cell = np.array([[16.0, 0, 0], [7.8, 14.1, 0], [-7.5, 6.8, 13.7]])
grid = supercell(np.zeros((1, 3)), (4, 4, 4), 0.25)
periodic("argon_triclinic", ["Ar"] * 64, grid @ cell, cell)
# argon-krypton mixture
kind = np.where(rng.permutation(108) < 48, "Kr", "Ar").tolist()
periodic("ArKr", kind, supercell(FCC, (3, 3, 3), 18.4 / 3), np.diag([18.4] * 3))
# silicon, 64 atoms
periodic("silicon", ["Si"] * 64, supercell(DIAMOND, (2, 2, 2), 5.431), np.diag([10.862] * 3))
# slab: 3 x 3 x 3 fcc cells, open along z
pos = supercell(FCC, (3, 3, 3), 5.3)
pos[:, 2] -= 2.0
fr = Frame(["Ar"] * 108, pos, np.diag([15.9, 15.9, 12.0]), (True, True, False))
lammps_data(f"{work}/argon_slab.start.data", fr, ["Ar"],
            box=([0, 15.9], [0, 15.9], [-40.0, 60.0], (0, 0, 0)))
# truncated octahedron of 38 atoms
pos = supercell(FCC, (6, 6, 6), 5.3) - 2.5 * 5.3
centre = 5.3 * np.array([.5, .0, .0])          # octahedral hole of the fcc lattice
d = pos - centre
near = np.argsort(np.round((d ** 2).sum(1), 6), kind="stable")[:38]
fr = Frame(["Ar"] * 38, d[near])
lammps_data(f"{work}/argon_cluster.start.data", fr, ["Ar"],
            box=([-50, 50], [-50, 50], [-50, 50], (0, 0, 0)))

# cells much smaller than the cutoff
small = []
for amp in (0.1, 0.2, 0.3):
    small.append(Frame(["Ar"] * 4, FCC * 5.3 + rng.uniform(-amp, amp, (4, 3)),
                       np.diag([5.3] * 3), (True,) * 3))
x = 5.3 / np.sqrt(2)                            # primitive cell of fcc, a along x
prim = np.array([[x, 0, 0], [x / 2, x * np.sqrt(3) / 2, 0],
                 [x / 2, x / (2 * np.sqrt(3)), x * np.sqrt(2 / 3)]])
small.append(Frame(["Ar"], [[0.7, -1.1, 2.3]], prim, (True,) * 3))
tri = np.array([[4.1, 0, 0], [1.9, 3.9, 0], [-1.7, 1.5, 7.2]])
for _ in range(2):
    p = np.array([[.1, .2, .3], [.6, .7, .8]]) @ tri + rng.uniform(-.15, .15, (2, 3))
    small.append(Frame(["Ar"] * 2, p, tri, (True,) * 3))
write_xyz(f"{work}/argon_small_cell.xyz", small)
write_xyz(f"{work}/argon_single.xyz",
          [Frame(["Ar"], [[0, 0, 0]]), Frame(["Ar"], [[1.25, -37.5, 1e3]])])
