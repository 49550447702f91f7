from __future__ import annotations

import h5py
import numpy as np
import pytest
from conftest import ROOT, Folder

import framewise

RAW = "Measurement_000/Channel_000/Raw_Data"
STATISTICS = f"map scan.h5 --dataset {RAW} --kernel statistics -o s.h5"
FUNCTIONS = ROOT / "tests/python/functions.py"


def test_results_of_a_kernel_by_name(folder: Folder) -> None:
    folder.bring("scan.h5")
    folder(f"{STATISTICS} --rows :7")
    with framewise.open(folder / "s.h5") as result:
        assert result.kernel == "statistics" and result.calculator is None
        assert result.group is not None and result.group.startswith(f"/{RAW}-")
        assert np.flatnonzero(result.completed).tolist() == list(range(7))
        assert result.results and all(len(values) == len(result) for values in result.results.values())
        row = result.row(2)
        assert set(row) == set(result.results)
        for name, values in result.results.items():
            assert np.array_equal(np.ravel(row[name]), values[2])
            assert np.isnan(values[7:]).all() or values.dtype.kind != "f"
        table = result.to_pandas()
        scalars = {name for name, values in result.results.items() if values.shape[1] == 1}
        assert scalars and scalars < set(table.columns) and table.index.name == "row"
        assert result.row(-1).keys() == row.keys()
        with pytest.raises(IndexError, match="there is no row"):
            result.row(len(result))
        for ask in ("energy", "positions", "frames"):
            with pytest.raises(framewise.FramewiseError, match="results of rows"):
                getattr(result, ask)


def test_results_of_other_types_and_shapes(folder: Folder) -> None:
    with h5py.File(folder / "signals.h5", "w") as file:
        file["signals"] = np.random.default_rng(5).normal(size=(4, 6))
    folder(f"map signals.h5 --dataset signals --kernel python:{FUNCTIONS}:counted -o c.h5 --rows :3")
    with framewise.open(folder / "c.h5") as result:
        row = result.row(0)
        assert row["Above"].dtype == np.int64 and row["Above"].shape == ()
        assert row["Wave"].dtype == np.complex64 and row["Wave"].shape == (6,)
        assert row["Flags"].shape == (6,) and np.isnan(row["Hole"])
        with h5py.File(folder / "signals.h5") as file:
            signal = file["signals"][0]
        assert row["Above"] == (signal > 0).sum() and np.array_equal(row["Flags"], signal > 0)
        assert np.array_equal(row["Wave"], np.fft.fft(signal).astype("c8"))


def test_several_groups_in_one_file(folder: Folder) -> None:
    folder.bring("scan.h5")
    folder(STATISTICS)
    with framewise.open(folder / "s.h5") as result:
        first, names = result.group, set(result.results)
    folder(f"map scan.h5 --dataset {RAW} --kernel sho-fit -o s.h5")
    with framewise.open(folder / "s.h5") as result:
        assert result.kernel == "sho-fit" and result.group != first
    with framewise.open(folder / "s.h5", group=first) as result:
        assert result.kernel == "statistics" and set(result.results) == names and result.completed.all()
    with pytest.raises(framewise.FramewiseError, match=r"no group 'x'.*SHO_Fit"):
        framewise.open(folder / "s.h5", group="x")
