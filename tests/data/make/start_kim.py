"""Frames for the models of OpenKIM: displaced crystals, a cluster, slabs; cells of all sizes.

usage: start_kim.py OUT.xyz
"""
import sys

import numpy as np

from common import Frame, write_xyz

rng = np.random.default_rng(20241124)
FCC = np.array([[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]])
BCC = np.array([[0, 0, 0], [.5, .5, .5]])
DIAMOND = np.vstack([FCC, FCC + .25])
WURTZITE = np.array([[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, .5], [1 / 3, 2 / 3, .375], [2 / 3, 1 / 3, .875]])
HCP = WURTZITE[:2]


def crystal(species, basis, n, cell, amplitude, skew=((0, 0, 0),) * 3, pbc=(True,) * 3):
    """n supercells; one species for each atom of the basis; everything moved by up to amplitude (A)."""
    shifts = np.array([[i, j, k] for i in range(n[0]) for j in range(n[1]) for k in range(n[2])])
    places = (shifts[:, None, :] + basis[None]).reshape(-1, 3) / np.array(n)
    cell = np.asarray(cell, float) * np.array(n)[:, None] + np.array(skew, float)
    positions = places @ cell + rng.uniform(-amplitude, amplitude, places.shape)
    return Frame(list(species) * len(shifts), positions, cell, pbc)


def cubic(a):
    return np.diag([a] * 3)


def hexagonal(a, c):
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


TILT = ((.1, 0, 0), (.4, -.2, 0), (-.3, .5, .15))
frames = [
    crystal(["Al"] * 4, FCC, (2, 2, 2), cubic(4.05), .15),
    crystal(["Cu"] * 4, FCC, (1, 1, 1), cubic(3.615), .12),
    crystal(["Ni", "Al"], BCC, (2, 2, 2), cubic(2.88), .1, TILT),
    crystal(["Fe"] * 2, BCC, (2, 2, 2), cubic(2.87), .1),
    crystal(["Si"] * 4 + ["C"] * 4, DIAMOND, (1, 1, 1), cubic(4.36), .1, TILT),
    crystal(["C"] * 8, DIAMOND, (1, 1, 1), cubic(3.57), .08),
    crystal(["Mo"] * 2, BCC, (1, 1, 1), cubic(3.147), .1),
    crystal(["Ti"] * 2, HCP, (2, 2, 1), hexagonal(2.95, 4.68), .1),
    crystal(["Cu", "Zr"], BCC, (2, 2, 2), cubic(3.26), .15),
    crystal(["Ga"] * 2 + ["N"] * 2, WURTZITE, (1, 1, 1), hexagonal(3.19, 5.19), .08),
    # The nominal height of a slab only sets the volume of its stress.
    crystal(["Cu"] * 4, FCC, (2, 2, 1), np.diag([3.615, 3.615, 9.0]), .1, pbc=(True, True, False)),
    crystal(["Si"] * 8, DIAMOND, (2, 1, 1), np.diag([5.43, 5.43, 5.43]), .1, pbc=(True, False, False)),
    crystal(["Ta"] * 2, BCC, (2, 2, 2), cubic(3.3), .1),
    crystal(["Pt", "C"], BCC, (1, 2, 2), cubic(2.9), .1),
]
f = frames[10]
f.positions[:, 2] *= 3.615 / 9.0              # two layers of fcc (001)
frames.append(Frame(["Si"] * 13, crystal(["Si"] * 8, DIAMOND, (2, 1, 1), cubic(5.43), .15).positions[:13]))
write_xyz(sys.argv[1], frames)
