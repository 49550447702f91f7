"""Programs that people open results with. usage: readers.py make FOLDER | readers.py carried R.h5 SOURCE.xyz | readers.py READER (R.h5 SOURCE.xyz EXACTNESS)...

READER is mdanalysis, znh5md, ovito or h5py. The frames are those of SOURCE.xyz, as ASE reads it; null has computed them: forces
are the positions, the energy their sum in order, the stress 0. What is not completed is NaN. EXACTNESS says how exactly the
source is in the result: exact, or to so many Å.
"""

import sys
import warnings
from pathlib import Path

import ase.io
import h5py
import numpy as np


KJ_PER_MOL = 96.48533212331002


def computed(path):
    with h5py.File(path) as file:
        return file["parameters/framewise/status"][:] == 0


def near(found, expected, what, tolerance):
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    bad = ~np.isclose(found, expected, rtol=0, atol=tolerance, equal_nan=True)
    assert not bad.any(), (what, found[bad], expected[bad])


def results_of(atoms, done):
    """Energy, forces and stress of null."""
    if not done:
        return np.nan, np.full((len(atoms), 3), np.nan), np.full((3, 3), np.nan)
    return np.cumsum(atoms.positions)[-1], atoms.positions, np.zeros((3, 3))


def in_mdanalysis(path, frames, done, tolerance):
    import MDAnalysis
    from MDAnalysis.lib.mdamath import triclinic_box

    universe = MDAnalysis.Universe.empty(len(frames[0]), trajectory=False)
    universe.load_new(path, format="H5MD")
    assert universe.trajectory.n_frames == len(frames)
    assert len(universe.trajectory) == len(frames)
    for i, (step, atoms) in enumerate(zip(universe.trajectory, frames, strict=True)):
        # Single precision is what MDAnalysis has.
        single = max(tolerance, 4e-6)
        near(step.positions, atoms.positions, f"positions {i}", single)
        energy, forces, stress = results_of(atoms, done[i])
        near(step.data["trajectory/energy"], energy, f"energy {i}", 1e-9 + 1000 * tolerance)
        near(step.data["trajectory/stress"], stress, f"stress {i}", 0)
        if atoms.cell.array.any():
            near(step.dimensions, triclinic_box(*atoms.cell.array.astype("f8")), f"box {i}", 1e-3 + tolerance)
        else:
            assert step.dimensions is None, (i, step.dimensions)
        with h5py.File(path) as file:
            has_forces = "force" in file["particles/trajectory"]
        assert universe.trajectory.has_forces == has_forces
        if has_forces:
            near(step.forces, forces * KJ_PER_MOL, f"forces {i}", 1e-2)
    # Any order, twice.
    universe.trajectory[len(frames) - 1]
    near(universe.trajectory[0].positions, frames[0].positions, "positions 0", single)


def in_znh5md(path, frames, done, tolerance):
    import znh5md

    found = znh5md.IO(path)[:]
    assert len(found) == len(znh5md.IO(path)) == len(frames)
    for i, (atoms, expected) in enumerate(zip(found, frames, strict=True)):
        assert np.array_equal(atoms.numbers, expected.numbers), i
        near(atoms.positions, expected.positions, f"positions {i}", tolerance)
        near(atoms.cell.array, expected.cell.array, f"cell {i}", tolerance)
        assert np.array_equal(atoms.pbc, expected.pbc), (i, atoms.pbc)
        energy, forces, stress = results_of(expected, done[i])
        if not done[i]:
            # Results that are NaN throughout are none for ZnH5MD.
            assert atoms.calc is None, (i, atoms.calc.results)
            continue
        near(atoms.get_potential_energy(), energy, f"energy {i}", 1000 * tolerance)
        near(atoms.get_forces(), forces, f"forces {i}", tolerance)
        near(atoms.get_stress(voigt=False), stress, f"stress {i}", 0)
    near(znh5md.IO(path)[-1].positions, frames[-1].positions, "the last one", tolerance)


def upright(atoms):
    """Whether AMBER has words for the cell: lengths and angles."""
    return not any(abs(atoms.cell.array[k, k + 1:]).any() for k in range(3) if atoms.pbc[k])


def in_ovito(path, frames, done, tolerance):
    from ovito.io import import_file

    pipeline = import_file(path)
    assert pipeline.source.num_frames == len(frames)
    for i, atoms in enumerate(frames):
        data = pipeline.compute(i)
        near(data.particles.positions[...], atoms.positions, f"positions {i}", tolerance)
        assert np.array_equal(data.particles["Particle Type"][...], atoms.numbers), i
        near(data.particles["Force"][...], results_of(atoms, done[i])[1], f"forces {i}", tolerance)
        if atoms.pbc.any() and upright(atoms):
            directions = [k for k in range(3) if atoms.pbc[k]]
            near(data.cell[:, :3].T[directions], atoms.cell.array[directions], f"cell {i}", 1e-5 + tolerance)
            assert np.array_equal(data.cell.pbc, atoms.pbc), (i, data.cell.pbc)
        else:
            # Better none than one that lies across its atoms.
            assert data.cell is None or not data.cell.pbc.any(), (i, data.cell[...], data.cell.pbc)


def in_h5py(path, frames, done, tolerance):
    with h5py.File(path) as file:
        trajectory, observables = file["particles/trajectory"], file["observables/trajectory"]
        assert list(file["h5md/modules/units"].attrs["version"]) == [1, 0]
        assert list(trajectory["box"].attrs["boundary"]) == [
            "periodic" if any(atoms.pbc[k] for atoms in frames) else "none" for k in range(3)
        ]
        for name in ("position", "species", "forces", "box/edges"):
            for axis in ("step", "time"):
                assert trajectory[name][axis] == trajectory["position"][axis], (name, axis)
        offsets = trajectory["offsets"][:] if "offsets" in trajectory else None
        for i, atoms in enumerate(frames):
            rows = i if offsets is None else slice(offsets[i], offsets[i + 1])
            energy, forces, stress = results_of(atoms, done[i])
            near(trajectory["position/value"][rows], atoms.positions, f"positions {i}", tolerance)
            near(trajectory["species/value"][rows], atoms.numbers, f"species {i}", 0)
            near(trajectory["box/edges/value"][i], atoms.cell.array, f"cell {i}", tolerance)
            near(trajectory["forces/value"][rows], forces, f"forces {i}", tolerance)
            near(observables["energy/value"][i], energy, f"energy {i}", 1000 * tolerance)
            near(observables["stress/value"][i], stress, f"stress {i}", 0)
            if "force" in trajectory:
                assert trajectory["force/value"].attrs["unit"] == "kJ mol-1 Angstrom-1"
                near(trajectory["force/value"][rows], forces * KJ_PER_MOL, f"force {i}", 0)
            if "periodic" in trajectory["box"]:
                assert np.array_equal(trajectory["box/periodic"][i].astype(bool), atoms.pbc), i


def carried(path, source):
    """velocity=speed:'Angstrom fs-1', mass=weight:u (the same in all frames), charge=number of SOURCE.xyz are in the result."""
    import MDAnalysis
    import znh5md

    frames = ase.io.read(source, ":", format="extxyz")
    universe = MDAnalysis.Universe.empty(len(frames[0]), trajectory=False, velocities=True)
    universe.load_new(path, format="H5MD")
    found = znh5md.IO(path)[:]
    with h5py.File(path) as file:
        trajectory = file["particles/trajectory"]
        assert trajectory["velocity/value"].attrs["unit"] == "Angstrom fs-1"
        assert trajectory["mass/value"].attrs["unit"] == "u"
        assert trajectory["charge/value"].dtype == np.int64 and "unit" not in trajectory["charge/value"].attrs
        for name in ("velocity", "mass", "charge"):
            for axis in ("step", "time"):
                assert trajectory[name][axis] == trajectory["position"][axis], (name, axis)
        for i, atoms in enumerate(frames):
            near(trajectory["velocity/value"][i], atoms.arrays["speed"], f"velocity {i}", 0)
            near(trajectory["mass/value"][i], atoms.arrays["weight"], f"mass {i}", 0)
            near(trajectory["charge/value"][i], atoms.arrays["number"], f"charge {i}", 0)
            # MDAnalysis has Å/ps, in single precision.
            near(universe.trajectory[i].velocities, 1000 * atoms.arrays["speed"], f"velocity {i}", 1e-3)
            near(found[i].get_masses(), atoms.arrays["weight"], f"mass {i}", 0)
            near(found[i].get_charges(), atoms.arrays["number"], f"charge {i}", 0)


def make(folder):
    """A trajectory as DCD and as XTC, written by MDAnalysis, and as extended XYZ what it reads back."""
    import MDAnalysis
    from MDAnalysis.lib.mdamath import triclinic_vectors

    rng = np.random.default_rng(3)
    universe = MDAnalysis.Universe.empty(6, trajectory=True)
    where = rng.normal(size=(6, 3)) * 3
    for kind in ("dcd", "xtc"):
        name = str(folder / f"md.{kind}")
        with MDAnalysis.Writer(name, n_atoms=6) as writer:
            for i in range(9):
                universe.dimensions = [20 + 0.1 * i, 21, 22, 80, 85, 95]
                universe.atoms.positions = where + 0.1 * i
                writer.write(universe.atoms)
        back = MDAnalysis.Universe.empty(6, trajectory=False)
        back.load_new(name)
        ase.io.write(
            folder / f"{kind}.xyz",
            [
                ase.Atoms("OHHOHH", step.positions, cell=triclinic_vectors(step.dimensions), pbc=True)
                for step in back.trajectory
            ],
            format="extxyz",
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    elif sys.argv[1] == "carried":
        carried(*sys.argv[2:])
    else:
        reader, samples = sys.argv[1], sys.argv[2:]
        for path, source, exactness in zip(*[iter(samples)] * 3, strict=True):
            frames = ase.io.read(source, ":", format="extxyz")
            done = computed(path)
            assert len(done) == len(frames)
            tolerance = 0 if exactness == "exact" else float(exactness)
            try:
                globals()[f"in_{reader}"](path, frames, done, tolerance)
            except Exception as error:
                raise AssertionError(f"{path} in {reader}: {error}") from error
            print(reader, path, len(frames), "frames,", int(done.sum()), "of them computed")
