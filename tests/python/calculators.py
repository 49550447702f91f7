"""Calculators for tests/ase.rs: a harmonic one whose results are easy to tell, and what can go wrong with it.

A frame whose first atom lies beyond x = 90 is the poisoned one.
"""
import ctypes
import os
import subprocess
import sys
import time

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

POISON = 90.0


class NotConverged(Exception):
    pass


def springs(atoms):
    r = atoms.positions
    return {"energy": 0.5 * float((r * r).sum()), "forces": -r, "stress": np.zeros(6)}


def go_wrong(how, folder):
    if how == "exit":
        os._exit(7)
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how == "segfault":
        sys.stderr.write("about to fall\n")
        sys.stderr.flush()
        ctypes.string_at(0)
    if how == "hang":
        time.sleep(1000)
    if how == "offspring":
        # In a session of its own, with all signals a child of Python hears.
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        os._exit(7)
    if how == "leave":
        sys.exit("enough")
    if how == "raise":
        raise ValueError("this frame is\n  poisoned")
    if how == "unconverged":
        raise NotConverged("no way down")
    if how == "nonsense":
        # Into every file that is open, the conversation among them.
        for number in range(3, 30):
            try:
                os.write(number, b"\xff" * 64)
            except OSError:
                pass
    if how == "close":
        os.closerange(3, 30)


class Springs(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, how="", folder=".", **keywords):
        super().__init__(**keywords)
        self.how, self.folder = how, folder
        if how == "broken":
            raise RuntimeError("no licence\nleft")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = springs(atoms)
        with open("notes.txt", "a") as file:
            file.write("a file of the calculator\n")
        print("the calculator prints")
        os.write(1, b"and so does a library of it\n")
        if atoms.positions[0, 0] > POISON:
            go_wrong(self.how, self.folder)
            if self.how == "nan":
                self.results["energy"] = float("nan")
            if self.how == "shape":
                self.results["forces"] = np.zeros((len(atoms) + 1, 3))


class Batched(Springs):
    def calculate_batch(self, frames):
        if any(frame.positions[0, 0] > POISON for frame in frames):
            go_wrong(self.how, self.folder)
        found = [springs(frame) for frame in frames]
        if self.how == "short":
            return found[1:]
        if self.how == "some":
            return [ValueError("poisoned") if frame.positions[0, 0] > POISON else results
                    for frame, results in zip(frames, found)]
        return found


class Remembering(Springs):
    """Counts what it has seen, and no reset helps."""
    seen = 0

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.seen += 1
        self.results["energy"] += self.seen


def made(stiffness, names, text="", nothing=0):
    """Keywords arrive as what they look like."""
    assert stiffness == 2.5 and names == ["a", "b"] and text == "plain text" and nothing is None, (
        stiffness, names, text, nothing)
    return Springs()


def not_a_calculator():
    return 3
