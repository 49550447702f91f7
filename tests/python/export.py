"""Reads what `framewise export` wrote with NumPy, ASE and pyarrow, and compares it with the result, bit for bit.

usage: export.py npz|dump|parquet|named RESULT FILE | export.py same_names FILE...
"""
import sys

import h5py
import numpy as np
from ase.io import read


class Result:
    def __init__(self, path):
        with h5py.File(path) as f:
            t, o = f["particles/trajectory"], f["observables/trajectory"]
            p = f["parameters/framewise"]
            self.status, self.seconds = p["status"][:], p["seconds"][:]
            self.energy, self.stress = o["energy/value"][:], o["stress/value"][:]
            self.offsets = t["offsets"][:] if "offsets" in t else None
            self.positions, self.forces = t["position/value"][:], t["forces/value"][:]
            species = t["species"]
            self.constant = isinstance(species, h5py.Dataset)
            self.species = species[:] if self.constant else species["value"][:]
            edges = t["box"].get("edges")
            n = len(self.status)
            if edges is None:
                self.cell = np.zeros((n, 3, 3))
            elif isinstance(edges, h5py.Dataset):
                self.cell = np.broadcast_to(edges[:], (n, 3, 3))
            else:
                self.cell = edges["value"][:]
            text = [b.decode() if isinstance(b, bytes) else b for b in t["box"].attrs["boundary"]]
            pbc = np.array([b == "periodic" for b in text])
            self.pbc = t["box/periodic"][:].astype(bool) if "periodic" in t["box"] else np.broadcast_to(pbc, (n, 3))
        self.completed = np.flatnonzero(self.status == 0)

    def rows(self, k):
        return k if self.offsets is None else slice(self.offsets[k], self.offsets[k + 1])

    def numbers(self, k):
        return self.species if self.constant else self.species[self.rows(k)]


def same(found, expected, what):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"), (what, found, expected)


def npz(result, path):
    r, z = Result(result), np.load(path)
    done = r.completed
    same(z["frame"], done, "frame")
    for name in ("energy", "stress", "cell", "pbc"):
        same(z[name], getattr(r, name)[done], name)
    if len({len(r.numbers(k)) for k in done}) == 1:
        assert "offsets" not in z
        same(z["species"], [r.numbers(k) for k in done], "species")
        for name in ("positions", "forces"):
            same(z[name], [getattr(r, name)[r.rows(k)] for k in done], name)
        return
    same(z["species"], np.concatenate([r.numbers(k) for k in done]), "species")
    for i, k in enumerate(done):
        rows = slice(*z["offsets"][i:i + 2])
        same(z["positions"][rows], r.positions[r.rows(k)], "positions")
        same(z["forces"][rows], r.forces[r.rows(k)], "forces")


def dump(result, path):
    r, frames = Result(result), read(path, ":", format="lammps-dump-text")
    assert len(frames) == len(r.completed)
    for k, atoms in zip(r.completed, frames):
        positions, forces, cell = r.positions[r.rows(k)], r.forces[r.rows(k)], r.cell[k]
        same(atoms.numbers, r.numbers(k), "species")
        if not cell.any():
            same(atoms.positions, positions, "positions")
            same(atoms.get_forces(), forces, "forces")
            assert not atoms.pbc.any()
            continue
        same(atoms.pbc, r.pbc[k], "pbc")
        # Lengths and angles stay, whatever way a frame is turned.
        found = atoms.cell.array
        if np.array_equal(cell, np.tril(cell)):
            same(atoms.positions, positions, "positions")
            same(atoms.get_forces(), forces, "forces")
        assert np.allclose(found @ found.T, cell @ cell.T, rtol=1e-12, atol=1e-10), (k, found, cell)
        turn = np.linalg.solve(cell, found)
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-12) and np.linalg.det(turn) > 0
        assert np.allclose(atoms.positions, positions @ turn, atol=1e-10)
        assert np.allclose(atoms.get_forces(), forces @ turn, atol=1e-10)


def parquet(result, path):
    import pyarrow.parquet as pq
    r, table = Result(result), pq.read_table(path).to_pydict()
    n = len(r.status)
    same(table["frame"], np.arange(n), "frame")
    same(table["status"], r.status, "status")
    same(np.array(table["seconds"], dtype=np.float32), r.seconds, "seconds")
    for k in range(n):
        numbers = r.numbers(k)
        assert table["n_atoms"][k] == len(numbers)
        energy, per_atom, force = (table[x][k] for x in ("energy", "energy_per_atom", "max_force"))
        if r.status[k]:
            assert energy is per_atom is force is None
            continue
        assert energy == r.energy[k] and per_atom == r.energy[k] / len(numbers)
        expected = np.linalg.norm(r.forces[r.rows(k)], axis=1).max()
        assert abs(force - expected) <= 1e-15 * expected
    assert table["formula"][0] in ("Ar108", "H2O"), table["formula"][0]


def named(result, path):
    r, frames = Result(result), read(path, ":", format="extxyz")
    same([a.info["frame"] for a in frames], r.completed, "frame")
    for k, atoms in zip(r.completed, frames):
        # As MACE and metatrain read them: nothing of it is in a calculator.
        assert atoms.calc is None
        same(atoms.info["REF_energy"], r.energy[k], "energy")
        same(atoms.arrays["REF_forces"], r.forces[r.rows(k)], "forces")
        same(np.reshape(atoms.info["REF_stress"], (3, 3), order="F"), r.stress[k], "stress")


def same_names(*paths):
    """A number of frames and a column have one name, and another number of frames has that which the column would get."""
    for path in paths:
        z = np.load(path)
        assert len(set(z.files)) == len(z.files), z.files
        same(z["charge"], [1.5, 2.5], "charge")
        same(z["charge_atoms"], [11.5, 12.5], "charge_atoms")
        same(z["charge_atoms_"], [[1.5, -1.5], [2.5, -2.5]], "charge_atoms_")


if __name__ == "__main__":
    {"npz": npz, "dump": dump, "parquet": parquet, "named": named, "same_names": same_names}[sys.argv[1]](*sys.argv[2:])
