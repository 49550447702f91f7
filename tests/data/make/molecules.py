"""Charged and open-shell molecules and a small periodic cell (idealised, slightly distorted).

usage: molecules.py OUTDIR
"""
import sys

import numpy as np

from common import Frame, write_xyz

out = sys.argv[1]
h = 0.6
write_xyz(f"{out}/charged.xyz", [
    Frame("N H H H H".split(), [[0.01, 0, 0], [h, h, h], [h, -h, -h + 0.02], [-h, h, -h], [-h, -h, h]],
          info={"charge": 1, "uhf": 0}),                            # NH4+
    Frame("O O".split(), [[0, 0, 0], [0.1, 0.2, 1.2]], info={"charge": 0, "uhf": 2}),   # O2 triplet
    Frame("O H H".split(), [[0, 0, 0], [0.95, 0.1, 0], [-0.3, 0.97, 0.05]],
          info={"charge": 1, "uhf": 1}),                            # H2O+ doublet
    Frame("O H".split(), [[0, 0, 0], [0, 0.3, 0.93]], info={"charge": -1, "uhf": 0}),   # OH-
    Frame("O H".split(), [[0, 0, 0], [0, 0.3, 0.93]], info={"charge": 0, "uhf": 1}),    # OH radical
])

# water between two water molecules whose O-H bonds are stretched to 4 A: no SCF convergence there
good = [[0.0, 0.0, 0.0], [0.95, 0.1, 0.0], [-0.3, 0.92, 0.05]]
write_xyz(f"{out}/scf_failure.xyz", [
    Frame("O H H".split(), good), Frame("O H H".split(), [[0, 0, 0], [4, 0, 0], [0, 4, 0]]),
    Frame("O H H".split(), np.array(good) * [1.0, 1.05, 1.0])])

# two water molecules in a small triclinic cell; the second frame is displaced, the third strained,
# the last two are in larger cells
cell = np.array([[4.4, 0, 0], [0.3, 5.0, 0], [-0.4, 0.2, 6.1]])
pos = np.array([[0.1, 0.2, 0.12], [2.3, 2.6, 3.2], [0.01, 0.955, -0.47], [0.03, -0.555, -0.47],
                [2.9, 3.3, 3.4], [2.6, 1.8, 2.8]])
rng = np.random.default_rng(11)
kinds = "O O H H H H".split()
strain = np.eye(3) + np.array([[.02, .01, 0], [0, -.01, .005], [0.004, 0, .015]])
write_xyz(f"{out}/periodic_gfn1.xyz", [
    Frame(kinds, pos, cell, (True,) * 3),
    Frame(kinds, pos + rng.uniform(-.05, .05, pos.shape), cell, (True,) * 3),
    Frame(kinds, pos @ strain, cell @ strain, (True,) * 3),
    Frame(kinds, pos + [1.0, 1.5, 2.0], [[8, 0, 0], [0.5, 8.5, 0], [-0.6, 0.3, 9]], (True,) * 3),
    Frame(kinds, pos + [2.0, 1.5, 3.0], np.diag([10.0, 10.5, 11.0]), (True,) * 3)])
