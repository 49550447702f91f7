"""What `framewise compare` says, computed by NumPy, h5py and ASE from the same files.

usage: compare.py check JSON A B            A, B: results of framewise, or extended XYZ
       compare.py mbe OUT                   an mbe-automation group with two levels of theory
       compare.py reference RESULT OUT      an extended XYZ with REF_ labels, shuffled, other numbers
"""
import json
import math
import sys

import h5py
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read, write

PER = "\u2215"


def load(path):
    """{index: (numbers, energy, forces, stress)} of the completed frames."""
    frames = {}
    if not path.endswith(".h5"):
        for k, atoms in enumerate(read(path, ":", format="extxyz")):
            names = {n.split("_")[-1]: n for n in atoms.info if n.startswith("REF_")}
            energy = atoms.info[names["energy"]]
            stress = atoms.info[names["stress"]] if "stress" in names else None
            forces = atoms.arrays["REF_forces"]
            frames[atoms.info.get("frame", k)] = (atoms.numbers, energy, forces, stress)
        return frames
    with h5py.File(path) as f:
        t, o = f["particles/trajectory"], f["observables/trajectory"]
        offsets = t["offsets"][:] if "offsets" in t else None
        for k in np.flatnonzero(f["parameters/framewise/status"][:] == 0):
            rows = k if offsets is None else slice(offsets[k], offsets[k + 1])
            species = t["species"]
            numbers = species[:] if isinstance(species, h5py.Dataset) else species["value"][rows]
            stress = o["stress/value"][k]
            stress = None if np.isnan(stress).all() else stress
            frames[int(k)] = (numbers, o["energy/value"][k], t["forces/value"][rows], stress)
    return frames


def close(found, expected, what, tolerance=1e-12):
    scale = max(abs(expected), 1e-3)
    assert abs(found - expected) <= tolerance * scale, (what, found, expected)


def figures(found, error, reference, what, tolerance=1e-12):
    error, reference = np.asarray(error), np.asarray(reference)
    size = np.abs(error)
    assert found["n"] == len(error), (what, found["n"], len(error))
    close(found["mean"], math.fsum(error) / len(error), what + " mean", tolerance)
    close(found["mae"], size.mean(), what + " mae", tolerance)
    close(found["rmse"], np.sqrt((error ** 2).mean()), what + " rmse", tolerance)
    close(found["max"], size.max(), what + " max", tolerance)
    spread = ((reference - reference.mean()) ** 2).sum()
    if len(set(reference)) == 1:
        assert found["r2"] is None or abs(found["r2"]) > 1e6
    else:
        close(found["r2"], 1 - (error ** 2).sum() / spread, what + " r2", max(tolerance, 1e-10))
    for q, value in found["quantiles"].items():
        exact = np.quantile(size, float(q), method="inverted_cdf")
        assert abs(value - exact) <= 0.004 * exact + 1e-17, (what, q, value, exact)


def check(path, a, b):
    found = json.load(open(path))
    a, b = load(a), load(b)
    common = sorted(a.keys() & b.keys())
    assert found["common"] == found["frames"] == len(common), (found["frames"], common)
    assert found["atoms"] == sum(len(a[k][0]) for k in common)
    n = np.array([len(a[k][0]) for k in common])
    ea, eb = (np.array([x[k][1] for k in common]) for x in (a, b))
    figures(found["energy_total"], ea - eb, eb, "total")
    error, reference = (ea - eb) / n, eb / n
    figures(found["energy_per_atom"], error, reference, "energy")
    assert common[np.argmax(np.abs(error))] == found["energy_per_atom"]["max_frame"]
    scale = np.abs(error).max()
    figures(found["energy_per_atom_mean_removed"], error - error.mean(), reference, "mean removed", 1e-11 * max(1, scale))
    elements = sorted({z for k in common for z in a[k][0]})
    counts = np.array([[np.sum(a[k][0] == z) for z in elements] for k in common], float)
    constants, _, rank, _ = np.linalg.lstsq(counts, ea - eb, rcond=None)
    assert found["constants_per_element"]["rank"] == rank
    for z, c in zip(elements, constants):
        close(found["constants_per_element"]["values"][chemical_symbols[z]], c, f"constant {z}", 1e-10)
    left = (ea - eb - counts @ constants) / n
    if rank < len(common):
        figures(found["energy_per_atom_shifted"], left, reference, "shifted", 1e-9)
        order = sorted(zip(-np.abs(left), common))
        worst = [o["frame"] for o in found["outliers"]["energy"]]
        assert worst[:1] == [k for _, k in order[:1]], (worst, order)

    za = np.concatenate([a[k][0] for k in common])
    fa, fb = (np.concatenate([x[k][2] for k in common]) for x in (a, b))

    def forces(found, chosen, what):
        error = (fa - fb)[chosen]
        figures(found["components"], error.ravel(), fb[chosen].ravel(), what)
        length = np.linalg.norm(error, axis=1)
        close(found["vectors"]["rmse"], np.sqrt((length ** 2).mean()), what + " vectors")
        close(found["vectors"]["mae"], length.mean(), what + " vectors")
        rms = np.sqrt((fb[chosen] ** 2).mean())
        close(found["components"]["relative_rmse"], np.sqrt((error ** 2).mean()) / rms, what + " relative")
        la, lb = (np.linalg.norm(x[chosen], axis=1) for x in (fa, fb))
        both = (la >= 1e-3) & (lb >= 1e-3)
        x, y = fa[chosen][both], fb[chosen][both]
        angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(x, y), axis=1), np.sum(x * y, axis=1)))
        assert found["angle"]["n"] == both.sum()
        if both.any():
            close(found["angle"]["mean"], angle.mean(), what + " angle")
            close(found["angle"]["max"], angle.max(), what + " angle")

    forces(found["forces"], np.ones(len(za), bool), "forces")
    assert found["forces"]["elements"].keys() == {chemical_symbols[z] for z in elements}
    for z in elements:
        forces(found["forces"]["elements"][chemical_symbols[z]], za == z, chemical_symbols[z])
    worst = found["outliers"]["forces"][0]
    length = np.linalg.norm(a[worst["frame"]][2] - b[worst["frame"]][2], axis=1)
    close(worst["size"], np.linalg.norm(fa - fb, axis=1).max(), "outlier")
    assert length.argmax() == worst["atom"]
    close(worst["rmse"], np.sqrt((length ** 2).mean() / 3), "outlier's rmse")

    both = [k for k in common if a[k][3] is not None and b[k][3] is not None]
    assert found["stress_frames"] == len(both)
    if both:
        voigt = lambda s: np.asarray(s)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        sa, sb = (np.concatenate([voigt(x[k][3]) for k in both]) for x in (a, b))
        figures(found["stress"], sa - sb, sb, "stress")
    else:
        assert found["stress"] is None


def mbe(path):
    rng = np.random.default_rng(3)
    frames, numbers = 7, np.array([8, 1, 1, 6])
    with h5py.File(path, "w") as f:
        g = f.create_group("training/methanal")
        g.create_dataset("positions (\u00c5)", data=rng.normal(size=(frames, 4, 3)))
        g.create_dataset("atomic_numbers", data=numbers)
        g.attrs["n_frames"], g.attrs["n_atoms"], g.attrs["periodic"] = frames, 4, False
        t = g.create_group("ground_truth")
        energy = rng.normal(size=frames)
        forces = rng.normal(size=(frames, 4, 3))
        for k, (level, status) in enumerate([("hf", [0] * 5 + [2, 1]), (f"pbe{PER}svp", None)]):
            e, x = energy + 0.25 * k, forces + 0.5 * k
            if status:
                bad = np.array(status) != 0
                e, x = np.where(bad, np.nan, e), np.where(bad[:, None, None], np.nan, x)
                t.create_dataset(f"status_{level}", data=np.array(status, np.int64))
            t.create_dataset(f"E_{level} (eV{PER}atom)", data=e)
            t.create_dataset(f"forces_{level} (eV{PER}\u00c5)", data=x)
        t.attrs["levels_of_theory"] = ["hf", "pbe/svp"]


def reference(result, path):
    rng = np.random.default_rng(4)
    frames = []
    with h5py.File(result) as f:
        t, o = f["particles/trajectory"], f["observables/trajectory"]
        edges, numbers = t["box/edges/value"][0], t["species/value"][0]
        for k in rng.permutation(len(o["energy/value"]))[: len(o["energy/value"]) * 2 // 3]:
            positions = t["position/value"][k] + edges[0] * (k % 2)
            atoms = Atoms(numbers, positions, cell=edges, pbc=edges.any(axis=1))
            atoms.info["frame"] = int(k)
            atoms.info["REF_energy"] = o["energy/value"][k] + rng.normal()
            if k % 2:
                atoms.info["REF_stress"] = o["stress/value"][k] + 0.01 * np.eye(3)
            atoms.new_array("REF_forces", t["forces/value"][k] + 0.1 * rng.normal(size=positions.shape))
            frames.append(atoms)
    write(path, frames, format="extxyz")


if __name__ == "__main__":
    {"check": check, "mbe": mbe, "reference": reference}[sys.argv[1]](*sys.argv[2:])
