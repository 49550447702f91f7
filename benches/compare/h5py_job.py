"""What people write by hand: h5py with the mpio driver, null calculator. usage: h5py_job.py batches|restartable|frames INPUT RESULT

`batches` is the best such script that we could write: one contiguous part of the frames for each rank, slabs of 64 MiB read
and written collectively, numpy over whole slabs, no chunks, no fill, one sync at the end. `restartable` does the same and
leaves what a run that is killed can go on from, as framewise does: rank 0 creates the file full of NaN with a copy of the
positions, and the states of a slab are written and synced after its results are. `frames` goes one frame at a time.
"""

import os
import sys

import h5py
import numpy as np
from mpi4py import MPI

how, source, result = sys.argv[1:]
world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
SLAB = 64 << 20


def contiguous(group, name, shape, dtype="f8", fill=None):
    """A dataset allocated at once, full of `fill` or not filled."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    if fill is None:
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    else:
        plist.set_fill_value(np.array(fill, dtype))
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, plist))


def results(group, frames, atoms, fill):
    return [contiguous(group, name, shape, fill=fill) for name, shape in (("energy", (frames,)), ("forces", (frames, atoms, 3)), ("stress", (frames, 3, 3)))]


def sync():
    descriptor = os.open(result, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


restartable = how == "restartable"
if restartable and rank == 0:
    with h5py.File(source, "r") as inp, h5py.File(result, "w") as out:
        positions = inp["particles/trajectory/position/value"]
        frames, atoms, _ = positions.shape
        results(out, frames, atoms, np.nan)
        contiguous(out, "status", (frames,), "i8", 1)
        copy = contiguous(out, "positions", positions.shape)
        step = max(1, SLAB // (24 * atoms))
        for a in range(0, frames, step):
            copy[a : a + step] = positions[a : a + step]
    sync()
world.Barrier()

with h5py.File(source, "r", driver="mpio", comm=world) as inp, h5py.File(result, "r+" if restartable else "w", driver="mpio", comm=world) as out:
    positions = inp["particles/trajectory/position/value"]
    frames, atoms, _ = positions.shape
    energy, forces, stress = (out[n] for n in ("energy", "forces", "stress")) if restartable else results(out, frames, atoms, None)
    start, end = rank * frames // size, (rank + 1) * frames // size
    if how == "frames":
        zero = np.zeros((3, 3))
        for k in range(start, end):
            frame = positions[k]
            energy[k] = frame.sum()
            forces[k] = frame
            stress[k] = zero
    else:
        step = max(1, SLAB // (24 * atoms))
        # As many collective calls on every rank.
        rounds = -(-(-(-frames // size)) // step)
        for k in range(rounds):
            a, b = min(start + k * step, end), min(start + (k + 1) * step, end)
            with positions.collective:
                block = positions[a:b]
            sums = block.reshape(b - a, 3 * atoms).sum(axis=1)
            with energy.collective, forces.collective, stress.collective:
                energy[a:b] = sums
                forces[a:b] = block
                stress[a:b] = np.zeros((b - a, 3, 3))
            if restartable:
                out.flush()
                sync()
                status = out["status"]
                with status.collective:
                    status[a:b] = 0
                out.flush()
                sync()
    out.flush()
sync()
