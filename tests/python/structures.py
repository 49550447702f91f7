"""Structures of mbe-automation, as that program locks and reads them (h5py, NumPy).

usage: structures.py read FILE KEY              JSON of all levels of theory on standard output
       structures.py lock FILE SECONDS          holds the lock of the file; prints "held" when it has it
       structures.py open FILE MODE SECONDS     has the file open by HDF5; prints "open" when it has it
       structures.py prepare FILE KEY LEVEL N   frame 0 completed (energy N), frame 1 undefined, the rest not converged
       structures.py odd FILE KEY LEVEL KIND    datasets of a level as other programs leave them: float32, chunked, legacy,
                                                energies
       structures.py set FILE KEY FRAME VALUE   a position of atom 0 of a frame
       structures.py make FILE COUNT            COUNT small groups under many/, each of 1 to 3 frames of 1 to 4 atoms
       structures.py spoil FILE                 three groups of ten frames: a is whole, b has a species too many, c a status too short
"""
import contextlib
import fcntl
import json
import sys
import time

import h5py
import numpy as np

SLASH = "\u2215"


@contextlib.contextmanager
def locked(path):
    with open(f"{path}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def names(level):
    safe = level.replace("/", SLASH)
    return f"E_{safe} (eV{SLASH}atom)", f"forces_{safe} (eV{SLASH}Å)", f"status_{safe}"


def plain(array):
    return json.loads(json.dumps(np.where(np.isfinite(array), array, None).tolist()))


def read(path, key):
    with locked(path), h5py.File(path) as f:
        group = f[key]
        n_frames = int(group.attrs["n_frames"])
        truth = group.get("ground_truth")
        levels = {}
        for level in [] if truth is None else truth.attrs.get("levels_of_theory", []):
            assert isinstance(level, str), type(level)
            e, forces, state = names(level)
            found = {}
            if e in truth:
                assert truth[e].shape == (n_frames,)
                found["energy"] = plain(truth[e][...])
            if forces in truth:
                assert truth[forces].shape == (n_frames, int(group.attrs["n_atoms"]), 3)
                found["forces"] = plain(truth[forces][...])
            if state in truth:
                assert truth[state].dtype == np.int64
                found["status"] = truth[state][...].tolist()
            else:
                found["status"] = [0] * n_frames
            levels[level] = found
        listed = [] if truth is None else list(truth.attrs.get("levels_of_theory", []))
        assert listed == sorted(listed)
        known = {name for level in listed for name in names(level)}
        assert truth is None or set(truth) <= known, set(truth) - known
        print(json.dumps(levels))


def add_level(group, level):
    truth = group.require_group("ground_truth")
    listed = set(truth.attrs.get("levels_of_theory", [])) | {level}
    truth.attrs["levels_of_theory"] = sorted(listed)
    return truth


def prepare(path, key, level, value):
    with h5py.File(path, "r+") as f:
        group = f[key]
        frames, atoms = int(group.attrs["n_frames"]), int(group.attrs["n_atoms"])
        truth = add_level(group, level)
        e, forces, state = names(level)
        status = np.full(frames, 2, np.int64)
        status[:2] = 0, 1
        truth[e] = np.where(status == 0, float(value), np.nan)
        truth[forces] = np.full((frames, atoms, 3), np.nan)
        truth[state] = status


def odd(path, key, level, kind):
    with h5py.File(path, "r+") as f:
        group = f[key]
        frames, atoms = int(group.attrs["n_frames"]), int(group.attrs["n_atoms"])
        truth = add_level(group, level)
        e, forces, state = names(level)
        dtype = "f4" if kind == "float32" else "f8"
        how = {"chunks": (1, atoms, 3), "compression": "gzip"} if kind == "chunked" else {}
        fill = 7.0 if kind in ("legacy", "energies") else np.nan
        truth[e] = np.full(frames, fill, dtype)
        if kind == "energies":
            return
        truth.create_dataset(forces, data=np.full((frames, atoms, 3), fill, dtype), **how)
        if kind != "legacy":
            truth[state] = np.full(frames, 1, np.int64)


def hold_open(path, mode, seconds):
    with h5py.File(path, mode):
        print("open", flush=True)
        time.sleep(float(seconds))


def change(path, key, frame, value):
    with h5py.File(path, "r+") as f:
        f[key]["positions (Å)"][int(frame), 0, 0] = float(value)


def make(path, count):
    numbers = np.random.default_rng(1)
    with h5py.File(path, "w") as f:
        for i in range(int(count)):
            frames, atoms = 1 + i % 3, 1 + i % 4
            g = f.create_group(f"many/{i % 7}/group {i:05}")
            g["positions (Å)"] = numbers.normal(size=(frames, atoms, 3))
            g["atomic_numbers"] = np.full(atoms, 1 + i % 5)
            g["masses (u)"] = np.ones(atoms)
            g.attrs.update(dataclass="Structure", n_frames=frames, n_atoms=atoms, periodic=False,
                           feature_vectors_type="none")


def spoil(path):
    with h5py.File(path, "w") as f:
        for key, level in (("a", "good"), ("b", "good"), ("c", "short")):
            g = f.create_group(key)
            g["positions (Å)"] = np.arange(60.0).reshape(10, 2, 3)
            g["atomic_numbers"] = [18] * (3 if key == "b" else 2)
            g.attrs.update(dataclass="Structure", n_frames=10, n_atoms=2, periodic=False)
            truth = add_level(g, level)
            truth[names(level)[0]] = np.zeros(10)
            truth[names(level)[2]] = np.zeros(3 if key == "c" else 10, np.int64)


def hold(path, seconds):
    with locked(path):
        print("held", flush=True)
        time.sleep(float(seconds))


action, *arguments = sys.argv[1:]
actions = {"read": read, "lock": hold, "open": hold_open, "prepare": prepare, "odd": odd, "set": change, "make": make, "spoil": spoil}
actions[action](*arguments)
