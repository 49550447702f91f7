"""ASE and h5py as witnesses of import and export.

Each takes any number of pairs:

interchange.py write KIND X.xyz        writes a trajectory with everything ASE can put into extended XYZ
interchange.py imported X.xyz X.h5     fails unless both hold the same, bit for bit
interchange.py exported X.h5 X.extxyz  fails unless the completed frames came out, bit for bit
interchange.py same X.xyz Y.xyz        fails unless Y has all that X has, and no more than labels, bit for bit
"""

import sys

import h5py
import numpy as np
from ase import Atoms
from ase.io import read, write


def write_everything(kind, path):
    rng = np.random.default_rng(7)
    frames = []
    for k in range(12):
        n = 1 + k % 4 if kind == "ragged" else 5
        species = rng.choice([1, 8, 18], n) if kind != "constant" else [8, 1, 1, 18, 36]
        cell = rng.normal(size=(3, 3)) * 9 if kind != "constant" else [[0, 7, 0], [6, 0, 0], [1, 2, 8]]
        pbc = [True, kind == "constant" or k % 2 == 0, False]
        atoms = Atoms(species, rng.normal(size=(n, 3)) * 10, cell=cell, pbc=pbc)
        atoms.info.update(
            energy_of_old=rng.normal(), n=k, ok=bool(k % 2), label=f'frame {k} "q" = é', longer="x" * (60 * k + 1),
            vector=rng.normal(size=3), matrix=rng.normal(size=(2, 2)), counts=np.arange(k, k + 4),
        )
        atoms.info["a/b"] = k * 0.1
        if k % 3:
            atoms.info["sometimes"] = k * 1.5
            atoms.info["sometimes_n"] = k
        atoms.new_array("q", rng.normal(size=n))
        atoms.new_array("ids", np.arange(n))
        atoms.new_array("tag", np.array([f"t{i}" for i in range(n)]))
        atoms.new_array("flag", np.arange(n) % 2 == 0)
        atoms.new_array("velo", rng.normal(size=(n, 3)))
        atoms.new_array("box", rng.normal(size=n))
        frames.append(atoms)
    write(path, frames, format="extxyz")


def same(found, expected, what):
    found, expected = np.asarray(found), np.asarray(expected)
    nan = expected.dtype.kind == "f"
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    assert np.array_equal(found, expected, equal_nan=nan), (what, found, expected)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def imported(source, path):
    frames = read(source, ":", format="extxyz")
    with h5py.File(path) as f:
        assert list(f["h5md"].attrs["version"]) == [1, 1]
        t = f["particles/trajectory"]
        assert t["position/value"].attrs["unit"] == "Angstrom"
        assert len(t["position/step"]) == len(frames) == len(t["position/time"])
        offsets = t["offsets"][:] if "offsets" in t else None
        for k, atoms in enumerate(frames):
            rows = k if offsets is None else slice(offsets[k], offsets[k + 1])
            constant = isinstance(t["species"], h5py.Dataset)
            same(t["species"][:] if constant else t["species/value"][rows], atoms.numbers, "species")
            same(t["position/value"][rows], atoms.positions, "positions")
            box = t["box"]
            if "edges" in box:
                constant = isinstance(box["edges"], h5py.Dataset)
                same(box["edges"][:] if constant else box["edges/value"][k], atoms.cell.array, "cell")
            else:
                assert not atoms.cell.array.any()
            periodic = [b == "periodic" for b in box.attrs["boundary"]]
            same(box["periodic"][k].astype(bool) if "periodic" in box else periodic, atoms.pbc, "pbc")
            for name, array in atoms.arrays.items():
                if name in ("numbers", "positions"):
                    continue
                value = t["box_" if name == "box" else name]["value"][rows]
                if array.dtype.kind in "OU":
                    value = [text(x) for x in value]
                same(value, array, name)
            seen = 0
            for name, group in f.get("observables/trajectory", {}).items():
                assert group["step"] == t["position/step"]
                found, name = text(group["value"][k]), name.replace("\u2215", "/")
                if name in atoms.info:
                    seen += 1
                    same(found, atoms.info[name], name)
                else:
                    assert found == "" if isinstance(found, str) else np.isnan(found).all(), (name, found)
            assert seen == len(atoms.info), (seen, atoms.info)


def exported(result, path):
    frames = read(path, ":", format="extxyz")
    with h5py.File(result) as f:
        t, o = f["particles/trajectory"], f["observables/trajectory"]
        completed = np.flatnonzero(f["parameters/framewise/status"][:] == 0)
        same([a.info["frame"] for a in frames], completed, "frames")
        offsets = t["offsets"][:] if "offsets" in t else None
        for k, atoms in zip(completed, frames):
            rows = k if offsets is None else slice(offsets[k], offsets[k + 1])
            same(atoms.positions, t["position/value"][rows], "positions")
            same(atoms.get_potential_energy(), o["energy/value"][k], "energy")
            same(atoms.get_forces(), t["forces/value"][rows], "forces")
            stress = o["stress/value"][k]
            if np.isnan(stress).any():
                assert "stress" not in atoms.calc.results
            else:
                same(atoms.get_stress(voigt=False), stress, "stress")
            edges = t["box/edges"]
            same(atoms.cell.array, edges[:] if isinstance(edges, h5py.Dataset) else edges["value"][k], "cell")
            periodic = [text(b) == "periodic" for b in t["box"].attrs["boundary"]]
            same(atoms.pbc, t["box/periodic"][k].astype(bool) if "periodic" in t["box"] else periodic, "pbc")
            species = t["species"]
            same(atoms.numbers, species[:] if isinstance(species, h5py.Dataset) else species["value"][rows], "species")


LABELS = {"frame", "energy", "forces", "stress"}


def same_files(source, path):
    """Every property; longer, texts of any length, is not carried over into results."""
    before, after = read(source, ":", format="extxyz"), read(path, ":", format="extxyz")
    assert len(before) == len(after) > 0
    labelled = any("frame" in b.info for b in after)
    for a, b in zip(before, after):
        same(b.numbers, a.numbers, "species")
        same(b.positions, a.positions, "positions")
        same(b.cell.array, a.cell.array, "cell")
        same(b.pbc, a.pbc, "pbc")
        expected = set(a.info) - ({"longer"} if labelled else set())
        assert set(b.info) - LABELS == expected, set(b.info) ^ expected
        assert set(b.arrays) - LABELS == set(a.arrays), set(b.arrays) ^ set(a.arrays)
        for name in expected:
            same(b.info[name], a.info[name], name)
        for name in a.arrays:
            same(b.arrays[name], a.arrays[name], name)
            assert b.arrays[name].dtype.kind == a.arrays[name].dtype.kind, name
    if labelled:
        assert all(b.calc is not None for b in after)


def arrays(source, path):
    """The arrays of NumPy that export made of it."""
    frames, found = read(source, ":", format="extxyz"), np.load(path)
    rows = np.concatenate([[0], np.cumsum([len(a) for a in frames])])
    for k, atoms in enumerate(frames):
        of = lambda name: (found[name][rows[k]:rows[k + 1]] if "offsets" in found else found[name][k])
        for name in ("q", "ids", "flag", "velo", "box"):
            same(of(name), atoms.arrays[name], name)
        for name in ("energy_of_old", "n", "ok", "vector", "matrix", "counts", "a/b"):
            same(found[name][k], atoms.info[name], name)
        expected = atoms.info.get("sometimes", np.nan)
        same(found["sometimes"][k], expected, "sometimes")
    assert "energy" not in found and "tag" not in found and "label" not in found


def table(source, path):
    import pandas

    frames, found = read(source, ":", format="extxyz"), pandas.read_parquet(path)
    for name in ("energy_of_old", "n", "ok", "label", "a/b"):
        assert list(found[name]) == [a.info[name] for a in frames], name
    same(found["sometimes"], [a.info.get("sometimes", np.nan) for a in frames], "sometimes")
    assert "energy" not in found and list(found["n_atoms"]) == [len(a) for a in frames]


if __name__ == "__main__":
    action = {"write": write_everything, "imported": imported, "exported": exported,
              "same": same_files, "arrays": arrays, "table": table}[sys.argv[1]]
    for pair in zip(sys.argv[2::2], sys.argv[3::2]):
        action(*pair)
