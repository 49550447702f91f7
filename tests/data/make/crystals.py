"""NaCl.xyz, NaCl_open.xyz and SiC.xyz: crystals with displaced atoms, strained cells, slabs and clusters.

usage: crystals.py OUTDIR
"""
import sys

import numpy as np

from common import Frame, write_xyz

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
TILTED = np.array([[1.02, 0, 0], [0.21, 0.97, 0], [-0.17, 0.26, 1.05]])
GENERAL = np.array([[0.98, 0.04, -0.03], [0.02, 1.03, 0.06], [-0.05, 0.01, 0.96]])
rng = np.random.default_rng(20220106)


def crystal(elements, offset, a, cells, displaced, strain=np.eye(3), pbc=(True,) * 3, lattice=True):
    """`cells` conventional cells of a compound with two interpenetrating fcc lattices; the rows of cells are strained."""
    corners = np.array([[x, y, z] for x in range(cells[0]) for y in range(cells[1]) for z in range(cells[2])], float)
    species, places = [], []
    for element, shift in zip(elements, ([0, 0, 0], offset)):
        for corner in corners:
            for site in FCC:
                species.append(element)
                places.append(corner + site + shift)
    positions = a * np.array(places) @ strain + rng.normal(0, displaced, (len(places), 3))
    order = rng.permutation(len(species))
    cell = a * np.diag(cells) @ strain if lattice else None
    return Frame([species[i] for i in order], positions[order], cell, pbc)


out = sys.argv[1]
salt = (("Na", "Cl"), [0.5, 0.5, 0.5], 5.64)
write_xyz(f"{out}/NaCl.xyz", [
    crystal(*salt, (2, 2, 2), 0.15),
    crystal(*salt, (2, 2, 2), 0.15, TILTED),
    crystal(*salt, (2, 2, 2), 0.20, GENERAL),
    crystal(*salt, (1, 1, 1), 0.10),
    crystal(*salt, (1, 2, 3), 0.15, TILTED),
])
write_xyz(f"{out}/NaCl_open.xyz", [
    crystal(*salt, (2, 2, 2), 0.15, pbc=(True, True, False)),
    crystal(*salt, (2, 2, 2), 0.15, pbc=(False,) * 3, lattice=False),
    Frame(["Na", "Cl"], [[0, 0, 0], [1.1, 1.9, 0.7]]),
])
carbide = (("Si", "C"), [0.25, 0.25, 0.25], 4.36)
write_xyz(f"{out}/SiC.xyz", [
    crystal(*carbide, (2, 2, 2), 0.12),
    crystal(*carbide, (2, 2, 2), 0.12, TILTED),
    crystal(*carbide, (2, 2, 2), 0.15, GENERAL),
    crystal(*carbide, (1, 1, 1), 0.10),
    crystal(*carbide, (2, 2, 2), 0.12, pbc=(True, True, False)),
    crystal(*carbide, (2, 2, 1), 0.12, pbc=(False,) * 3, lattice=False),
])
