"""What the comparisons share: folders, frames, launches that take turns, medians.

Settings: FRAMEWISE_BENCH_DIR (where large files go; default target/tmp), FRAMEWISE_BENCH_REPEATS (turns of each side,
default 5), FRAMEWISE_BIN (the program, default target/release/framewise). Debian's own Python runs the scripts: it sees
python3-h5py-mpi and python3-mpi4py.
"""

import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("FRAMEWISE_BIN", ROOT / "target/release/framewise")).resolve()
REPEATS = int(os.environ.get("FRAMEWISE_BENCH_REPEATS", "5"))
ARGON = ["--calculator", "lennard-jones", "--param", "epsilon=0.0104", "--param", "sigma=3.4"]
# One thread for each rank: the ranks are the parallelism.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"


def setting(name, default):
    """A number from the environment, to make a comparison longer or shorter."""
    return int(os.environ.get("FRAMEWISE_BENCH_" + name, default))


def folder():
    """A new folder for large files, removed at the end."""
    parent = Path(os.environ.get("FRAMEWISE_BENCH_DIR", ROOT / "target/tmp"))
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="compare.", dir=parent)


def need(*commands):
    """Stops with one line when a program is missing."""
    for command in commands:
        if shutil.which(str(command)) is None:
            sys.exit(f"error: {command} is missing; scripts/bench compare installs what is needed")


def mpiexec(ranks, threads=1):
    """The launcher, with what Open MPI wants said as root and on few cores."""
    name = "mpiexec.openmpi" if shutil.which("mpiexec.openmpi") else "mpiexec"
    need(name)
    flags = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    if ranks > len(os.sched_getaffinity(0)):
        flags.append("--oversubscribe")
    if threads > 1:
        # It binds each of few ranks to one core, threads and all.
        flags += ["--bind-to", "none"]
    return [name, "-n", str(ranks), *flags]


def run(command, expect=(0,), **options):
    """Runs a command to its end; seconds. Its output is shown only when it fails."""
    command = [str(word) for word in command]
    begun = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    seconds = time.perf_counter() - begun
    if done.returncode not in expect:
        sys.exit(f"error: {' '.join(command)}: exit code {done.returncode}\n{done.stdout.decode(errors='replace')}")
    return seconds


def said(command, **options):
    """Runs a command to its end; what it says on standard output."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def framewise(ranks, arguments, threads=1, launched=True):
    """The command of a run, quiet."""
    launcher = mpiexec(ranks, threads) if launched else []
    return [*launcher, PROGRAM, "--quiet", "run", "--progress", "none", "--threads", threads, *arguments]


def remove(*paths):
    for path in paths:
        Path(path).unlink(missing_ok=True)


def metrics(path):
    return json.loads(Path(path).read_text())


# Frames


def argon_sites(atoms, rng, by=0.4):
    """Positions and edges of an argon crystal at the density of the liquid, its atoms displaced by up to `by` Å."""
    import numpy as np

    cells = -(-atoms // 4)
    m = max(int(cells ** (1 / 3) + 1e-9), 1)
    layers = -(-cells // (m * m))
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    site = np.arange(cells)
    corner = np.stack([site % m, site // m % m, site // (m * m)], axis=1)
    places = (5.8 * (corner[:, None, :] + basis[None, :, :])).reshape(-1, 3)[:atoms]
    return places + rng.uniform(-by, by, places.shape), 5.8 * np.array([m, m, layers], dtype=float)


def write_h5md(path, frames, atoms, seed=1):
    """An H5MD trajectory of frames that are all equal in size, written in slabs."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(seed)
    places, edges = argon_sites(atoms, rng, 0.0)
    with h5py.File(path, "w", libver="earliest") as file:
        particles = head(file, np)
        position = particles.create_group("position")
        value = position.create_dataset("value", (frames, atoms, 3), "f8")
        value.attrs["unit"] = "Angstrom"
        position["step"] = np.arange(frames)
        particles["species"] = np.full(atoms, 18, "i4")
        box(particles, np)["edges"] = np.diag(edges)
        block = max(1, (32 << 20) // (24 * atoms))
        for start in range(0, frames, block):
            n = min(block, frames - start)
            value[start : start + n] = places + rng.uniform(-0.4, 0.4, (n, atoms, 3))


def write_ragged_h5md(path, sizes, seed=1):
    """An H5MD trajectory of argon frames of these sizes."""
    import h5py
    import numpy as np

    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    with h5py.File(path, "w", libver="earliest") as file:
        particles = head(file, np)
        position = particles.create_group("position")
        value = position.create_dataset("value", (int(offsets[-1]), 3), "f8")
        value.attrs["unit"] = "Angstrom"
        position["step"] = np.arange(len(sizes))
        particles["offsets"] = offsets
        species = particles.create_group("species")
        species["value"] = np.full(int(offsets[-1]), 18, "i4")
        species["step"] = position["step"]
        edges = box(particles, np).create_group("edges")
        cells = np.zeros((len(sizes), 3, 3))
        for i, n in enumerate(sizes):
            places, lengths = argon_sites(int(n), rng)
            value[offsets[i] : offsets[i + 1]] = places
            cells[i] = np.diag(lengths)
        edges["value"] = cells
        edges["step"] = position["step"]


def head(file, np):
    h5md = file.create_group("h5md")
    h5md.attrs["version"] = np.array([1, 1], "i4")
    h5md.create_group("author").attrs["name"] = "benchmark"
    creator = h5md.create_group("creator")
    creator.attrs["name"], creator.attrs["version"] = "benchmark", "0"
    return file.create_group("particles/trajectory")


def box(particles, np):
    group = particles.create_group("box")
    group.attrs["dimension"] = np.int32(3)
    group.attrs["boundary"] = np.array(["periodic"] * 3, dtype="S8")
    return group


def lognormal_sizes(frames, mean, sigma, seed=4711):
    """Numbers of atoms: lognormal with this mean; beyond 3 sigma one frame would hold up the whole run."""
    import numpy as np

    deviation = np.clip(np.random.default_rng(seed).standard_normal(frames), -3, 3)
    return np.maximum(1, np.round(mean * np.exp(sigma * deviation - sigma**2 / 2))).astype(int)


# Turns and figures


def in_turns(sides, repeats=None):
    """Calls each side in turn, then each again: A B A B. Seconds (or whatever they return) of each turn, by name."""
    results = {name: [] for name in sides}
    for _ in range(repeats or REPEATS):
        for name, side in sides.items():
            results[name].append(side())
    return results


def spread(values, form="{:.2f}"):
    """`median (smallest..largest)`."""
    show = form.format
    return f"{show(statistics.median(values))} ({show(min(values))}..{show(max(values))})"


def ratios(slow, fast):
    """Turn by turn: the machine was the same then."""
    return [a / b for a, b in zip(slow, fast)]


def verdict(name, values, target, at_least=True):
    """The line that counts: the median of `values` against what is to be reached. `values` may be one number."""
    values = values if isinstance(values, (list, tuple)) else [values]
    median = statistics.median(values)
    reached = median >= target if at_least else median <= target
    sign = ">=" if at_least else "<="
    print(f"=> {name}: {spread(values, '{:.3g}')}, to reach {sign} {target:g}: {'reached' if reached else 'MISSED'}", flush=True)


# Counts of the kernel


def watch(notes, command):
    """In a rank that `watched` started: runs the command and notes its peak memory and the bytes it wrote."""
    child = None
    for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(stop, lambda number, frame: child and child.send_signal(number))
    child = subprocess.Popen(command)
    Path(notes, f"{os.getpid()}.ready").touch()
    # It stays a zombie, whose counts can be read, until it is waited for.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    counts = dict(re.findall(r"(\w+): (\d+)", Path(f"/proc/{child.pid}/io").read_text()))
    usage = os.wait4(child.pid, 0)
    rank = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", str(os.getpid())))
    code = os.waitstatus_to_exitcode(usage[1])
    # The launcher would end the others when one leaves with an exit code: it is noted instead.
    note = {"code": code, "written": int(counts["wchar"]), "stored": int(counts["write_bytes"]), "memory": 1024 * usage[2].ru_maxrss}
    Path(notes, f"{rank}.json").write_text(json.dumps(note))


def watched(ranks, command, expect=(0,), stop_after=None):
    """Runs `command` on ranks, each watched; asks them to stop after so many seconds. Seconds, notes, exit code."""
    with tempfile.TemporaryDirectory() as notes:
        wrapped = [*mpiexec(ranks), sys.executable, __file__, notes, *map(str, command)]
        begun = time.perf_counter()
        process = subprocess.Popen(wrapped, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if stop_after is not None:
            # A signal that comes before a rank listens would end it.
            while len(list(Path(notes).glob("*.ready"))) < ranks and process.poll() is None:
                time.sleep(0.01)
            try:
                process.wait(1 + stop_after)
            except subprocess.TimeoutExpired:
                # Open MPI's launcher hands this one on.
                process.send_signal(signal.SIGUSR1)
        output, _ = process.communicate()
        seconds = time.perf_counter() - begun
        each = [json.loads(note.read_text()) for note in sorted(Path(notes).glob("*.json"))]
        codes = {note["code"] for note in each}
        if process.returncode or len(each) != ranks or len(codes) != 1 or not codes <= set(expect):
            words = " ".join(wrapped)
            sys.exit(f"error: {words}: exit codes {process.returncode}, {codes}, {len(each)} notes\n{output.decode(errors='replace')}")
        return seconds, each, codes.pop()


def result_bytes(frames, atoms):
    """Bytes of results: energy, stress, checksum, seconds, state of each frame, forces of each atom."""
    return frames * (8 + 72 + 8 + 4 + 8) + 24 * atoms


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2:])
