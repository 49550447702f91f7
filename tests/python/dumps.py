"""Compares what `framewise import` made of a dump of LAMMPS with what ASE reads in it, bit for bit (h5py, NumPy, ASE).

usage: dumps.py DUMP FILE
"""
import sys

import h5py
import numpy as np
from ase.io import read

frames = read(sys.argv[1], ":", format="lammps-dump-text")
with h5py.File(sys.argv[2]) as f:
    t = f["particles/trajectory"]
    positions = t["position/value"][:].reshape(-1, 3)
    ends = np.cumsum([0, *map(len, frames)])
    assert ends[-1] == len(positions)
    if "offsets" in t:
        assert np.array_equal(t["offsets"], ends)
    fixed = isinstance(t["species"], h5py.Dataset)
    numbers = np.tile(t["species"], len(frames)) if fixed else t["species/value"][:].ravel()
    forces = np.stack([t[f"f{axis}/value"][:].ravel() for axis in "xyz"], axis=1)
    edges = t["box/edges"]
    cells = np.array([edges[:]] * len(frames)) if isinstance(edges, h5py.Dataset) else edges["value"][:]
    pbc = [word in (b"periodic", "periodic") for word in t["box"].attrs["boundary"]]
    periodic = t["box/periodic"][:].astype(bool) if "periodic" in t["box"] else np.array([pbc] * len(frames))
    for k, atoms in enumerate(frames):
        rows = slice(ends[k], ends[k + 1])
        assert np.array_equal(positions[rows], atoms.positions), k
        assert np.array_equal(numbers[rows], atoms.numbers), k
        assert np.array_equal(forces[rows], atoms.get_forces()), k
        assert np.allclose(cells[k], atoms.cell.array, rtol=1e-15, atol=1e-14), (k, cells[k], atoms.cell.array)
        assert np.array_equal(periodic[k], atoms.pbc), (k, periodic[k], atoms.pbc)
