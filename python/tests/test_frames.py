from __future__ import annotations

import subprocess
import sys
from typing import Any

import h5py
import numpy as np
import pytest
from ase import Atoms, units
from ase.io import read
from conftest import Folder, frames_of, program

import framewise

KINDS = ["fixed", "species", "ragged", "mixed"]
LENNARD_JONES = "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5"


def same_bits(found: object, expected: object) -> None:
    """Compare numbers bit for bit, signs of zeros and NaN among them."""
    a, b = np.ascontiguousarray(found, dtype=np.float64), np.ascontiguousarray(expected, dtype=np.float64)
    assert a.shape == b.shape
    assert np.array_equal(a.view(np.uint64), b.view(np.uint64))


@pytest.mark.parametrize("kind", KINDS)
def test_geometry_is_what_went_in_and_results_are_those_of_the_calculator(folder: Folder, kind: str) -> None:
    sources = frames_of(kind)
    with framewise.open(folder.result(sources)) as result:
        assert len(result) == len(result.frames) == len(sources)
        assert list(result.n_atoms) == [len(atoms) for atoms in sources]
        assert (result.offsets is not None) == (kind == "ragged")
        for i, (frame, atoms) in enumerate(zip(result, sources, strict=True)):
            assert frame.index == i and frame.completed and len(frame) == len(atoms)
            assert np.array_equal(frame.numbers, atoms.numbers)
            same_bits(frame.positions, atoms.positions)
            same_bits(frame.cell, atoms.cell.array)
            assert np.array_equal(frame.pbc, atoms.pbc)
            same_bits(frame.forces, atoms.positions)
            assert frame.energy == np.cumsum(atoms.positions)[-1]
            assert not frame.stress.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["", "--frames 1:9:2"])
def test_to_ase_gives_what_export_and_ase_give_to_the_last_bit(folder: Folder, kind: str, part: str) -> None:
    path = folder.result(frames_of(kind), f"{LENNARD_JONES} {part}")
    folder("export r.h5 -o train.extxyz")
    expected = read(folder / "train.extxyz", ":")
    with framewise.open(path) as result:
        found = result.to_ase()
        assert len(found) == len(expected) == result.completed.sum()
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.info["frame"] == theirs.info["frame"]
            assert np.array_equal(ours.numbers, theirs.numbers) and np.array_equal(ours.pbc, theirs.pbc)
            same_bits(ours.positions, theirs.positions)
            same_bits(ours.cell.array, theirs.cell.array)
            same_bits(ours.get_potential_energy(), theirs.get_potential_energy())
            same_bits(ours.get_forces(), theirs.get_forces())
            assert ("stress" in ours.calc.results) == ("stress" in theirs.calc.results) == ours.pbc.all()
            if "stress" in ours.calc.results:
                same_bits(ours.get_stress(), theirs.get_stress())


def test_a_partial_result_has_masks_and_nan(folder: Folder) -> None:
    with framewise.open(folder.result(frames_of("fixed"), "--calculator null --frames 0:4,9")) as result:
        done = np.isin(np.arange(12), [0, 1, 2, 3, 9])
        assert np.array_equal(result.completed, done) and np.array_equal(result.undefined, ~done)
        assert not result.failed.any() and not result.not_converged.any()
        assert result.completed.dtype == np.bool_
        assert np.array_equal(np.isnan(result.energy[:]), ~done)
        assert np.array_equal(np.isnan(result.forces[:]).all(axis=(1, 2)), ~done)
        assert [frame.index for frame in result.select()] == [0, 1, 2, 3, 9]
        assert [frame.index for frame in result.select(slice(2, None, 1))] == [2, 3, 9]
        assert [frame.index for frame in result.select([11, 9, 0])] == [9, 0]
        assert [frame.index for frame in result.select(result.completed)] == [0, 1, 2, 3, 9]
        nothing: list[Any] = [[], (), np.array([]), slice(0, 0)]
        for none in nothing:
            assert len(result.select(none)) == 0 and result.to_ase(none) == []
        assert [atoms.info["frame"] for atoms in result.iter_ase([1, 8])] == [1]
        assert result[8].status is framewise.Status.UNDEFINED and result[8].to_ase().calc is None
        assert np.isnan(result[8].energy) and np.isnan(result[8].forces).all()


def test_frames_by_index_and_slice(folder: Folder) -> None:
    with framewise.open(folder.result(frames_of("ragged"))) as result:
        assert result[-1].index == 11 and result[0].index == 0
        assert [frame.index for frame in result[-3:]] == [9, 10, 11]
        assert [frame.index for frame in result[8:2:-2]] == [8, 6, 4]
        assert result[2:8][1:][-1].index == 7 and len(result[20:]) == 0
        for wrong in (12, -13):
            with pytest.raises(IndexError, match="it has 12 frames"):
                result[wrong]
        with pytest.raises(IndexError, match="it has 12 frames"):
            result.select([12])


def test_one_frame_and_none(folder: Folder) -> None:
    one = [Atoms("Ar", [[1.0, 2.0, 3.0]])]
    with framewise.open(folder.result(one)) as result:
        assert len(result) == 1 and result[0].energy == 6.0 and result[-1].pbc.tolist() == [False] * 3
        assert len(result.to_ase()) == len(result.to_pandas()) == 1
    with h5py.File(folder / "none.h5", "w") as file:
        group = file.create_group("particles/trajectory")
        group["position/value"] = np.empty((0, 4, 3))
        group["species"] = [18] * 4
        group.create_group("box").attrs["boundary"] = ["none"] * 3
    folder("run none.h5 -o none.r.h5 --calculator null")
    with framewise.open(folder / "none.r.h5") as result:
        assert len(result) == 0 and result.to_ase() == [] and len(result.to_pandas()) == 0
        assert result.completed.shape == (0,) and list(result) == []
        with pytest.raises(IndexError, match="it has 0 frames"):
            result[-1]


def test_failed_frames_say_why(folder: Folder) -> None:
    sources = frames_of("fixed")
    sources[3].positions[1] = sources[3].positions[0]
    with framewise.open(folder.result(sources, LENNARD_JONES, code=3)) as result:
        assert np.flatnonzero(result.failed).tolist() == [3]
        assert result.completed.sum() == 11
        assert list(result.messages()) == [3] and result.messages()[3]
        assert result[3].status is framewise.Status.FAILED
        table = result.to_pandas()
        assert table["status"].tolist() == ["completed"] * 3 + ["failed"] + ["completed"] * 8
        assert table["message"][3] == result.messages()[3] and not table["message"][2]
        assert np.isnan(table["energy"][3]) and np.isnan(table["max_force"][3])


def test_a_frame_that_did_not_converge(folder: Folder) -> None:
    folder.bring("scf_failure.xyz")
    folder("import scf_failure.xyz -o in.h5")
    folder("run in.h5 -o r.h5 --calculator xtb", code=3)
    with framewise.open(folder / "r.h5") as result:
        assert np.flatnonzero(result.not_converged).tolist() == [1] and not result.failed.any()
        assert "converge" in result.messages()[1]
        assert result.calculator == "xtb" and result.versions["library"]


def test_scalars_as_a_pandas_frame(folder: Folder) -> None:
    sources = frames_of("mixed")
    with framewise.open(folder.result(sources, LENNARD_JONES)) as result:
        table = result.to_pandas()
        assert list(table.columns) == [
            "status",
            "n_atoms",
            "energy",
            "energy_per_atom",
            "max_force",
            "volume",
            "seconds",
            "message",
        ]
        assert table.index.name == "frame"
        same_bits(table["energy"], result.energy[:])
        same_bits(table["energy_per_atom"], result.energy[:] / 5)
        for i, atoms in enumerate(sources):
            assert table["max_force"][i] == pytest.approx(np.linalg.norm(result.forces[i], axis=1).max(), rel=1e-15)
            expected = atoms.get_volume() if atoms.pbc.all() else np.nan
            assert table["volume"][i] == pytest.approx(expected, rel=1e-12, nan_ok=True)
        assert (table["seconds"] >= 0).all()


def test_what_is_recorded_of_the_job(folder: Folder) -> None:
    with framewise.open(folder.result(frames_of("fixed"), f"{LENNARD_JONES} --frames :6 --level-of-theory né")) as result:
        assert result.calculator == "lennard-jones" and result.kernel is None
        assert result.level_of_theory == "né" and result.attributes["level_of_theory"] == "né"
        assert float(result.parameters["cutoff"]) == 8.5 and "shift" in result.parameters
        assert set(result.versions) >= {"framewise", "hdf5", "mpi"}
        (run,) = result.history
        assert run.number == 1 and run.committed == run.planned == 6 and run.state == "done"
        assert repr(result).endswith("12 frames, né>")
        assert result.checksum[:6].all() and not result.checksum[6:].any()


def test_an_open_result_shows_what_a_run_commits_meanwhile(folder: Folder) -> None:
    with framewise.open(folder.result(frames_of("fixed"), "--calculator null --frames :4")) as result:
        status, energy = result.status, result.energy
        assert status[:].tolist() == [0] * 4 + [1] * 8 and result.completed.sum() == 4
        assert np.isnan(energy[4:]).all()
        folder("run in.h5 -o r.h5 --calculator null")
        assert result.completed.all() and not status[:].any()
        assert np.isfinite(energy[:]).all() and len(result.to_ase()) == 12


def test_a_result_that_several_jobs_share(folder: Folder) -> None:
    with framewise.open(folder.result(frames_of("species"), "--calculator null --share")) as result:
        assert result.completed.all() and len(result.to_ase()) == 12


def test_positions_that_stay_in_the_input(folder: Folder) -> None:
    sources = frames_of("fixed")
    path = folder.result(sources, "--calculator null --geometry link")
    with framewise.open(path) as result:
        assert isinstance(result.file["particles/trajectory/position"].get("value", getlink=True), h5py.ExternalLink)
        same_bits(result[7].positions, sources[7].positions)
        same_bits(result.to_ase()[11].positions, sources[11].positions)
    (folder / "in.h5").rename(folder / "away.h5")
    with pytest.raises(framewise.FramewiseError, match=r"in\.h5.*not there.*--geometry copy") as caught:
        framewise.open(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_trajectory_has_geometry_alone(folder: Folder, kind: str) -> None:
    sources = frames_of(kind)
    with framewise.open(folder.import_frames(sources)) as trajectory:
        assert not trajectory.has_results and len(trajectory) == 12
        for atoms, source in zip(trajectory.to_ase(), sources, strict=True):
            assert atoms.calc is None and np.array_equal(atoms.numbers, source.numbers)
            same_bits(atoms.positions, source.positions)
        for ask in ("energy", "status", "completed", "history"):
            with pytest.raises(framewise.FramewiseError, match="no results; `framewise run"):
                getattr(trajectory, ask)


def test_large_sets_are_read_in_blocks(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with framewise.open(folder.result(frames_of("ragged", 40), "--calculator null --frames :20,30")) as result:
        whole = result.to_ase()
        monkeypatch.setattr("framewise._result.BLOCK_FRAMES", 3)
        for ours, theirs in zip(result.to_ase(), whole, strict=True):
            same_bits(ours.positions, theirs.positions)
            assert ours.info == theirs.info


def test_a_run_that_is_going_on_is_watched(folder: Folder) -> None:
    rng = np.random.default_rng(1)
    lattice = 4.0 * np.stack(np.meshgrid(*[np.arange(9.0)] * 3), axis=-1).reshape(-1, 3)
    with h5py.File(folder / "in.h5", "w") as file:
        group = file.create_group("particles/trajectory")
        group["position/value"] = lattice + 0.1 * rng.normal(size=(800, len(lattice), 3))
        group["species"] = [18] * len(lattice)
        group["box/edges"] = np.eye(3) * 36.0
        group["box"].attrs["boundary"] = ["periodic"] * 3
    words = f"run in.h5 -o r.h5 {LENNARD_JONES} --threads 1 --checkpoint-interval 20ms"
    counts = []
    with subprocess.Popen([str(program()), *words.split()], cwd=folder.path, stderr=subprocess.DEVNULL) as run:
        while not (folder / "r.h5").exists():
            assert run.poll() is None, run.returncode
        with framewise.open(folder / "r.h5") as result:
            while True:
                over = run.poll() is not None
                completed = result.completed
                counts.append(int(completed.sum()))
                # A state that says completed never precedes its results.
                assert np.isfinite(result.energy[:][completed]).all()
                if counts[-1]:
                    last = int(np.flatnonzero(completed)[-1])
                    assert np.isfinite(result[last].forces).all() and result[last].completed
                if over:
                    break
    assert run.returncode == 0
    assert counts == sorted(counts) and counts[-1] == 800
    assert len(set(counts)) > 3, counts


def test_properties_that_were_carried_over(folder: Folder) -> None:
    sources = frames_of("ragged")
    for i, atoms in enumerate(sources):
        atoms.new_array("speed", np.full((len(atoms), 3), i))
    folder.import_frames(sources)
    folder("run in.h5 -o r.h5 --calculator null --carry 'velocity=speed:Angstrom ps-1'")
    with framewise.open(folder / "in.h5") as trajectory, framewise.open(folder / "r.h5") as result:
        assert list(trajectory.properties) == ["speed"] and list(result.properties) == ["velocity"]
        velocity = result.properties["velocity"]
        assert velocity.attrs["unit"] == "Angstrom ps-1"
        assert velocity.shape == result.positions.shape
        assert np.array_equal(velocity[:, 0], np.repeat(np.arange(12), result.n_atoms))


def test_groups_that_were_computed_as_one_job(folder: Folder) -> None:
    source = folder.bring("mbe.h5")
    folder("run mbe.h5 --keys 'training/**' -o groups.h5 --calculator null")
    with framewise.open(folder / "groups.h5") as result, h5py.File(source) as groups:
        assert len(result.segments) > 5
        ends = [0]
        for key, frames in result.segments.items():
            group = groups[key]
            positions = group.get("cluster_of_molecules", group)["positions (Å)"][()]
            assert frames.start == ends[-1]
            ends.append(frames.stop)
            for i, expected in zip(frames, positions.reshape(-1, *positions.shape[-2:]), strict=True):
                same_bits(result[i].positions, expected)
        assert ends[-1] == len(result)
    with framewise.open(folder.result(frames_of("fixed", 2))) as result:
        assert result.segments == {}


def test_what_is_missing_is_named_as_it_is_installed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with framewise.open(folder.result(frames_of("fixed"))) as result:
        for module, convert in (("ase", result[0].to_ase), ("pandas", result.to_pandas)):
            monkeypatch.setitem(sys.modules, module, None)
            with pytest.raises(framewise.FramewiseError, match=f"pip install {module}$"):
                convert()


def test_properties_go_along_and_stand_where_ase_has_them(folder: Folder) -> None:
    sources = frames_of("fixed")
    rng = np.random.default_rng(3)
    for i, atoms in enumerate(sources):
        atoms.set_array("velocity", np.round(rng.normal(size=(5, 3)), 6))
        atoms.set_array("charge", np.round(rng.normal(size=5), 6))
        atoms.set_array("kind", np.arange(5) + i)
        atoms.info.update(temperature=300.5 + i, origin=f"run {i}")
    folder.import_frames(sources)
    folder("run in.h5 -o r.h5 --calculator null --carry 'velocity:Angstrom fs-1,charge:e,all'")
    with framewise.open(folder / "r.h5") as result:
        assert set(result.frame_properties) == {"temperature", "origin"}
        for ours, theirs in zip(result.to_ase(), sources, strict=True):
            np.testing.assert_allclose(ours.get_velocities() * units.fs, theirs.arrays["velocity"], rtol=1e-13)
            same_bits(ours.get_initial_charges(), theirs.arrays["charge"])
            assert np.array_equal(ours.arrays["kind"], theirs.arrays["kind"])
            assert ours.info["temperature"] == theirs.info["temperature"] and ours.info["origin"] == theirs.info["origin"]
    with framewise.open(folder / "in.h5") as trajectory:
        assert trajectory[3].info["origin"] == "run 3" and trajectory[3].arrays["velocity"].shape == (5, 3)


def test_a_file_that_is_open_already_is_opened_beside_it(folder: Folder) -> None:
    path = folder.result(frames_of("fixed"))
    for locking in [None, True, False]:
        with h5py.File(path, locking=locking) as other, framewise.open(path) as result:
            assert np.array_equal(result.energy[:], other["/observables/trajectory/energy/value"][:])
    folder("link r.h5 r.h5 -o all.h5")
    with h5py.File(path), framewise.open(folder / "all.h5") as linked:
        try:
            assert len(linked.to_ase()) == 24
        except framewise.FramewiseError as error:
            assert "cannot be read" in str(error) or "cannot be shared" in str(error)
