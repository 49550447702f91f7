"""Real results: every test lets the program make its files."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


def program() -> Path:
    """Return the program under test; without it there are no tests."""
    found = Path(os.environ.get("FRAMEWISE_PROGRAM", ROOT / "target" / "debug" / "framewise"))
    assert found.is_file(), f"{found} is missing: `cargo build`, or FRAMEWISE_PROGRAM says where the program is"
    return found


class Folder:
    """A folder in which the program runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, arguments: str, code: int = 0) -> str:
        """Run the program; its exit code has to be ``code``."""
        words = [str(program()), *shlex.split(arguments)]
        done = subprocess.run(words, cwd=self.path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def __truediv__(self, name: str) -> Path:
        """Return a file of the folder."""
        return self.path / name

    def bring(self, name: str) -> Path:
        """Copy a file of ``tests/data`` here."""
        self.path.joinpath(name).write_bytes((DATA / name).read_bytes())
        return self.path / name

    def import_frames(self, frames: Sequence[Atoms], name: str = "in") -> Path:
        """Import frames into ``NAME.h5``."""
        write(self.path / f"{name}.xyz", list(frames), format="extxyz")
        self(f"import {name}.xyz -o {name}.h5")
        return self.path / f"{name}.h5"

    def result(self, frames: Sequence[Atoms], options: str = "--calculator null", code: int = 0) -> Path:
        """Import frames and compute them, into ``r.h5``."""
        self.import_frames(frames)
        self(f"run in.h5 -o r.h5 {options}", code)
        return self.path / "r.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder."""
    return Folder(tmp_path)


def frames_of(kind: str, n: int = 12, cell: bool = True, seed: int = 7) -> list[Atoms]:
    """Return frames that differ: ``fixed``, ``species`` (per frame), ``ragged``, ``mixed`` (periodic and open)."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        atoms = 1 + i % 4 if kind == "ragged" else 5
        numbers = [18, 18, 36, 10, 18] if kind in ("fixed", "mixed") else rng.choice([10, 18, 36], atoms)
        periodic = cell and not (kind == "mixed" and i % 3 == 0)
        vectors = np.diag([24.0, 25.0, 26.0]) + rng.normal(size=(3, 3)) if periodic else None
        # ASE writes eight digits.
        where = np.round(4.0 * np.arange(atoms)[:, None] + rng.normal(size=(atoms, 3)), 8)
        made.append(Atoms(numbers, where, cell=vectors, pbc=periodic))
    return made
