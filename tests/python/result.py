"""Serial h5py as a witness of result files.

result.py partial R.h5    frames 0:10 and 20 of 23 computed by null under another name, cells per frame
result.py ragged R.h5     null on frames of different sizes
result.py failed R.h5     the second of three frames did not converge
"""

import json
import sys

import h5py
import numpy as np


def common(f):
    assert list(f["h5md"].attrs["version"]) == [1, 1]
    assert f["h5md/creator"].attrs["name"] == "framewise"
    ours = f["parameters/framewise"]
    for name, value in ours.attrs.items():
        assert isinstance(value, str), (name, type(value))
    for name in ("calculator", "parameters", "level_of_theory", "input", "input_fingerprint", "framewise_version"):
        assert ours.attrs[name], name
    assert isinstance(json.loads(ours.attrs["parameters"]), dict)
    for path, unit in [
        ("particles/trajectory/position/value", "Angstrom"),
        ("particles/trajectory/forces/value", "eV Angstrom-1"),
        ("observables/trajectory/energy/value", "eV"),
        ("observables/trajectory/stress/value", "eV Angstrom-3"),
    ]:
        assert f[path].attrs["unit"] == unit, path
        assert f[path].dtype == np.float64
    for name in ("particles/trajectory/forces", "observables/trajectory/energy", "observables/trajectory/stress"):
        for axis in ("step", "time"):
            assert f[name][axis] == f["particles/trajectory/position"][axis], (name, axis)
    everything = []
    f.visititems(lambda name, item: everything.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    assert len(everything) > 10
    runs = [json.loads(line) for line in ours["history"][:] if line]
    assert runs[-1]["state"] == "done"
    t = f["particles/trajectory"]
    o = f["observables/trajectory"]
    return ours, t["position/value"][:], t["forces/value"][:], o["energy/value"][:], o["stress/value"][:]


def partial(f):
    ours, positions, forces, energy, stress = common(f)
    assert ours.attrs["calculator"] == "null"
    assert ours.attrs["level_of_theory"] == "né∕l"
    status = ours["status"][:]
    done = np.zeros(23, bool)
    done[:10] = done[20] = True
    assert status.dtype == np.int64
    assert np.array_equal(status, np.where(done, 0, 1))
    assert positions.shape == forces.shape == (23, 8, 3) and stress.shape == (23, 3, 3)
    assert np.array_equal(forces[done], positions[done])
    for values in (energy, forces, stress):
        assert np.isnan(values[~done]).all() and np.isfinite(values[done]).all()
    # A running sum in order, as the calculator has it.
    sums = np.cumsum(positions.reshape(23, -1), axis=1)[:, -1]
    assert np.array_equal(energy[done], sums[done])
    assert (ours["checksum"][:][done] != 0).all() and (ours["checksum"][:][~done] == 0).all()
    box = f["particles/trajectory/box"]
    assert list(box.attrs["boundary"]) == ["periodic"] * 3 and box.attrs["dimension"] == 3
    assert box["edges/value"].shape == (23, 3, 3)
    assert (ours["seconds"][:][done] >= 0).all()
    assert not any(ours["message"][:])


def ragged(f):
    ours, positions, forces, energy, stress = common(f)
    offsets = f["particles/trajectory/offsets"][:]
    assert len(offsets) == len(energy) + 1 == 13 and offsets[0] == 0
    assert offsets[-1] == len(positions) == len(forces)
    assert np.array_equal(forces, positions)
    for i, (start, end) in enumerate(zip(offsets, offsets[1:])):
        assert energy[i] == np.cumsum(positions[start:end])[-1], i
    assert not ours["status"][:].any() and not stress.any()


def failed(f):
    ours, positions, forces, energy, stress = common(f)
    assert list(ours["status"]) == [0, 2, 0]
    assert list(np.isnan(energy)) == [False, True, False]
    assert np.isnan(forces[1]).all() and np.isfinite(forces[[0, 2]]).all()
    assert np.isnan(stress[1]).all()
    first, reason, last = (line.decode() for line in ours["message"][:])
    assert not first and not last and "converge" in reason, reason


with h5py.File(sys.argv[2], "r") as f:
    {"partial": partial, "ragged": ragged, "failed": failed}[sys.argv[1]](f)
