"""States of frames, and the runs that a file remembers."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.IntEnum):
    """State of a frame or row, with the codes that files hold."""

    COMPLETED = 0
    """The results are there and match their checksum."""
    UNDEFINED = 1
    """Not computed yet."""
    NOT_CONVERGED = 2
    """The self-consistent field did not converge."""
    FAILED = 3
    """The evaluation failed; the message says why."""


@dataclass(frozen=True)
class Run:
    """One run that has written the file."""

    number: int
    """1 for the first run of the file."""
    started: float
    """Unix time of its start (s)."""
    elapsed: float
    """Time from its start to its last commit, or to its end (s)."""
    state: str
    """``running`` (or killed), ``done``, ``stopped``, ``failed``."""
    planned: int
    """Frames it set out to compute."""
    committed: int
    """Frames it has committed."""
    ranks: int
    """MPI ranks."""
    threads: int
    """Worker threads of a rank."""
    host: str
    """Host of rank 0."""
