"""Files of ZnH5MD: makes them, and reads with MDAnalysis what became of them."""

import sys

import numpy as np
import znh5md
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write


def labelled(atoms, rng):
    forces = np.round(rng.normal(size=(len(atoms), 3)), 8)
    stress = np.round(rng.normal(size=6), 8)
    results = {"energy": round(rng.normal(), 8), "forces": forces, "stress": stress}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def frames(kind):
    rng = np.random.default_rng(5)
    boundaries = [(True, True, True), (False, False, False), (True, True, False), (True, True, True)]
    made = []
    for i, pbc in enumerate(boundaries):
        n = 4 if kind == "fixed" else 2 + i
        positions = np.round(3.0 * np.arange(n)[:, None] + rng.normal(size=(n, 3)), 8)
        cell = np.round(np.diag([20.0, 21.0, 22.0]) + rng.normal(size=(3, 3)), 8)
        atoms = Atoms(rng.choice([10, 18, 36], n), positions, cell=cell, pbc=pbc)
        atoms.set_velocities(np.round(rng.normal(size=(n, 3)), 8))
        made.append(labelled(atoms, rng))
    return made


def make(kind):
    znh5md.IO("zn.h5").extend(frames(kind))
    write("zn.extxyz", frames(kind))


def velocities(path):
    """Those of the result, as MDAnalysis has them (Å/ps): ZnH5MD says Å/fs of what ASE has in its own unit."""
    import MDAnalysis

    expected = frames("fixed")
    universe = MDAnalysis.Universe.empty(4, trajectory=True, velocities=True)
    universe.load_new(path, format="H5MD")
    assert len(universe.trajectory) == len(expected)
    for step, atoms in zip(universe.trajectory, expected):
        assert np.allclose(step.velocities, atoms.get_velocities() * 1000, rtol=1e-6, atol=0)


{"make": make, "velocities": velocities}[sys.argv[1]](*sys.argv[2:])
