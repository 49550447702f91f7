"""One of several jobs that save into one file under a lock. usage: flock_job.py INPUT STORE LOCK BATCH JOBS NUMBER"""

import fcntl
import sys

import h5py

source, store, lock, batch, jobs, number = sys.argv[1:]
batch, jobs, number = int(batch), int(jobs), int(number)
with h5py.File(source, "r", locking=False) if h5py.version.hdf5_version_tuple >= (1, 12) else h5py.File(source, "r") as file:
    positions = file["particles/trajectory/position/value"]
    frames, atoms, _ = positions.shape
    start, end = number * frames // jobs, (number + 1) * frames // jobs
    for a in range(start, end, batch):
        b = min(a + batch, end)
        block = positions[a:b]
        rows = {"energy": block.reshape(b - a, 3 * atoms).sum(axis=1), "forces": block, "status": 0}
        with open(lock, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with h5py.File(store, "r+") as out:
                for name, values in rows.items():
                    whole = out[name][:]
                    whole[a:b] = values
                    del out[name]
                    out[name] = whole
