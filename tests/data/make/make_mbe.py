"""mbe.h5: the group layout of mbe-automation, filled from the other files of this folder.

usage: make_mbe.py DATADIR [argon_npt.dump]       (NumPy, h5py)

The dump (LAMMPS, columns id element x y z vx vy vz) brings the velocities of the Trajectory group;
without it that group is left out.
"""
import json
import sys

import h5py
import numpy as np

from common import MASS, read_xyz

d = sys.argv[1]
NUMBER = {"H": 1, "O": 8, "Si": 14, "Ar": 18, "Kr": 36}
A, PER = "\u00c5", "\u2215"                # A with ring; DIVISION SLASH, used in place of "/"
KB, GPA = 8.617333262e-5, 160.21766208     # eV/K, GPa per eV/A^3


def numbers(frame):
    return np.array([NUMBER[s] for s in frame.species], np.int64)


def masses(z):
    mass = {NUMBER[s]: m for s, m in MASS.items() if s in NUMBER}
    return np.vectorize(mass.get)(z).astype(float)


def structure(f, key, positions, z, cells=None):
    g = f.create_group(key)
    g.create_dataset(f"positions ({A})", data=positions)
    g.create_dataset("atomic_numbers", data=z)
    g.create_dataset("masses (u)", data=masses(z))
    if cells is not None:
        g.create_dataset(f"cell_vectors ({A})", data=cells)
    g.attrs["dataclass"] = "Structure"
    g.attrs["n_frames"] = positions.shape[0] if positions.ndim == 3 else 1
    g.attrs["n_atoms"] = positions.shape[-2]
    g.attrs["periodic"] = cells is not None
    g.attrs["feature_vectors_type"] = "none"
    return g


def stack(frames):
    return np.array([x.positions for x in frames])


argon = read_xyz(f"{d}/argon.xyz")[:5]
npt = read_xyz(f"{d}/argon_npt.xyz")
cluster = read_xyz(f"{d}/argon_cluster.xyz")
silicon = read_xyz(f"{d}/silicon.xyz")[:2]
water = read_xyz(f"{d}/water6.xyz")[:5]
with h5py.File(f"{d}/mbe.h5", "w") as f:
    # one cell for all frames (3, 3)
    structure(f, "training/argon", stack(argon), numbers(argon[0]), argon[0].cell)
    # one cell per frame (F, 3, 3)
    structure(f, "training/argon_npt", stack(npt), numbers(npt[0]), np.array([x.cell for x in npt]))
    # positions of rank 2: one frame
    structure(f, "training/single", cluster[0].positions, numbers(cluster[0]))
    # positions of rank 2 with a cell
    structure(f, "training/single_periodic", silicon[0].positions, numbers(silicon[0]), silicon[0].cell)
    # atoms in another order in every frame: atomic_numbers and masses of shape (F, A)
    order = [np.random.default_rng(i).permutation(18) for i in range(5)]
    structure(f, "training/per_frame_species", np.array([w.positions[o] for w, o in zip(water, order)]),
              np.array([numbers(w)[o] for w, o in zip(water, order)]))
    # energies (per atom!) and forces of two levels of theory, one frame failed in the second
    ref = json.load(open(f"{d}/silicon.reference.json"))["frames"][:2]
    g = structure(f, "training/ground_truth", stack(silicon), numbers(silicon[0]), silicon[0].cell)
    t = g.create_group("ground_truth")
    e = np.array([r["energy"] for r in ref]) / len(silicon[0])
    for name, status in (("stillinger-weber", [0, 0]), (f"sw{PER}other", [0, 2])):
        bad = np.array(status) != 0
        t.create_dataset(f"E_{name} (eV{PER}atom)", data=np.where(bad, np.nan, e))
        forces = np.array([r["forces"] for r in ref])
        forces[bad] = np.nan
        t.create_dataset(f"forces_{name} (eV{PER}{A})", data=forces)
        t.create_dataset(f"status_{name}", data=np.array(status, np.int64))
    t.attrs["levels_of_theory"] = ["stillinger-weber", "sw/other"]
    # finite subsystems: the structure is one level deeper
    for n in (1, 2, 6):
        key = f"training/md_sampling/cluster[dyn:T=260.00]/finite_subsystems/n={n}"
        g = f.create_group(key)
        g.attrs["dataclass"] = "FiniteSubsystem"
        g.attrs["n_molecules"] = n
        g.create_dataset("molecule_indices", data=np.arange(n))
        structure(f, f"{key}/cluster_of_molecules", stack(water)[:, :3 * n], numbers(water[0])[:3 * n])
    # trajectory
    if len(sys.argv) > 2:
        lines = open(sys.argv[2]).read().splitlines()
        block = 9 + len(npt[0])
        v = np.array([[[float(x) for x in l.split()[5:8]] for l in lines[i * block + 9:(i + 1) * block]]
                      for i in range(5)]) * 1e-3
        ref = json.load(open(f"{d}/argon_npt.reference.json"))["frames"]
        z = numbers(npt[0])
        n = len(z)
        kin = 0.5 * (masses(z)[None, :, None] * v ** 2).sum((1, 2)) * 103.642696   # u A^2/fs^2 -> eV
        vol = np.array([abs(np.linalg.det(x.cell)) for x in npt])
        g = structure(f, "md/argon_npt", stack(npt), z, np.array([x.cell for x in npt]))
        g.attrs["dataclass"] = "Trajectory"
        g.attrs["ensemble"] = "NPT"
        g.attrs["target_temperature (K)"] = 85.0
        g.attrs["target_pressure (GPa)"] = 1e-4
        g.attrs["time_equilibration (fs)"] = 16000.0
        g.attrs["n_removed_trans_dof"] = 3
        g.attrs["n_removed_rot_dof"] = 0
        g.attrs["level_of_theory"] = "lj"
        temperature = 2 * kin / (KB * (3 * n - 3))
        trace = np.array([np.trace(np.array(r["stress"])) for r in ref])
        for name, data in {
                "time (fs)": np.arange(5) * 4000.0, "T (K)": temperature,
                "p (GPa)": (-trace / 3 + 2 * kin / (3 * vol)) * GPA, f"V ({A}\u00b3{PER}atom)": vol / n,
                f"forces (eV{PER}{A})": np.array([r["forces"] for r in ref]),
                f"velocities ({A}{PER}fs)": v, f"E_kin (eV{PER}atom)": kin / n,
                f"E_pot (eV{PER}atom)": np.array([r["energy"] for r in ref]) / n,
                f"E_trans_drift (eV{PER}atom)": np.zeros(5)}.items():
            g.create_dataset(name, data=data)
print(f"{d}/mbe.h5")
