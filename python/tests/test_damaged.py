from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Folder, frames_of

import framewise

BOOKS = "parameters/framewise"
TRAJECTORY = "particles/trajectory"


def refused(path: Path, match: str, look: Callable[[framewise.Result], object] = lambda _: None) -> None:
    """Opening or looking is one line of error."""
    with pytest.raises(framewise.FramewiseError, match=match) as caught, framewise.open(path) as result:
        look(result)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_what_is_no_file_of_framewise(folder: Folder) -> None:
    refused(folder / "nothing.h5", "no such file")
    refused(folder.path, "not a file")
    (folder / "text.h5").write_text("text")
    refused(folder / "text.h5", "not an HDF5 file; `framewise import")
    (folder / "empty.h5").write_bytes(b"")
    refused(folder / "empty.h5", "not an HDF5 file")
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["x"] = [1.0]
    refused(folder / "foreign.h5", "no frames of framewise")
    with h5py.File(folder / "h5md.h5", "w") as file:
        file[f"{TRAJECTORY}/position/value"] = np.zeros((2, 3, 3))
        file[f"{TRAJECTORY}/position/value"].attrs["unit"] = "nm"
        file[f"{TRAJECTORY}/species"] = [1, 1, 8]
    refused(folder / "h5md.h5", "positions are in nm")


def test_truncated_files(folder: Folder) -> None:
    whole = folder.result(frames_of("ragged")).read_bytes()
    for kept in (9, 100, 2000, len(whole) // 2, len(whole) - 1):
        (folder / "cut.h5").write_bytes(whole[:kept])
        refused(folder / "cut.h5", "truncated or damaged|not an HDF5 file")


def test_damaged_results(folder: Folder) -> None:
    path = folder.result(frames_of("ragged"))
    whole = path.read_bytes()

    def damaged(change: Callable[[h5py.File], object]) -> Path:
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def shorter(file: h5py.File) -> None:
        del file[f"{BOOKS}/status"]
        file[f"{BOOKS}/status"] = np.zeros(3, dtype="i8")

    def strange(file: h5py.File) -> None:
        file[f"{BOOKS}/status"][2] = 77

    def mixed_up(file: h5py.File) -> None:
        file[f"{TRAJECTORY}/offsets"][3] = 1000

    def no_energy(file: h5py.File) -> None:
        del file["observables/trajectory/energy"]

    def no_parameters(file: h5py.File) -> None:
        file[BOOKS].attrs["parameters"] = "{"

    refused(damaged(shorter), "status has shape")
    refused(damaged(strange), "77", lambda result: result[2])
    refused(damaged(mixed_up), "offsets is damaged", list)
    refused(damaged(no_energy), "energy/value is missing")
    refused(damaged(no_parameters), "parameters makes no sense", lambda result: result.parameters)
    refused(damaged(lambda file: file.pop(f"{TRAJECTORY}/species")), "species is missing")


def test_every_flipped_byte_of_the_metadata_is_an_answer_or_one_line(folder: Folder) -> None:
    path = folder.result(frames_of("fixed", 3))
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    refusals = 0
    for at in rng.integers(8, min(len(whole), 12000), 150):
        bad = bytearray(whole)
        bad[at] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        try:
            with framewise.open(path) as result:
                len(result.to_ase())
        except framewise.FramewiseError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert refusals > 0
