"""Energy, gradient and strain derivative of frames by tblite, through its own Python interface.

usage: reference_tblite.py OUT.json     (structures: ../water6.xyz, ../charged.xyz, ...; needs the package tblite)

Raw atomic units; "failed" in their place is what tblite says when it cannot compute a frame. Every frame is one fresh Calculator and one single point without a restart; Bohr is that of CODATA 2018.
"""
import os
import sys
from importlib.metadata import version

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from tblite.exceptions import TBLiteRuntimeError
from tblite.interface import Calculator, symbols_to_numbers

from common import read_xyz, write_json

BOHR = 0.529177210903
METHODS = {"gfn2": "GFN2-xTB", "gfn1": "GFN1-xTB", "ipea1": "IPEA1-xTB"}
data = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# structures, frames, accuracies
JOBS = [
    ("water6.xyz", (0, 7, 19), (1.0, 0.001)),
    ("charged.xyz", range(5), (1.0, 0.001)),
    ("periodic_gfn1.xyz", range(5), (0.001,)),
    ("SiC.xyz", (3,), (0.001,)),
    ("NaCl.xyz", (3,), (0.001,)),
    ("kim.xyz", (4, 9), (0.001,)),
]


def single_point(fr, method, accuracy):
    cell = {} if fr.cell is None else {"lattice": fr.cell / BOHR, "periodic": np.array(fr.pbc)}
    calculator = Calculator(METHODS[method], symbols_to_numbers(fr.species), fr.positions / BOHR,
                            charge=float(fr.info.get("charge", 0)), uhf=fr.info.get("uhf", 0), **cell)
    calculator.set("verbosity", 0)
    calculator.set("accuracy", accuracy)
    try:
        found = calculator.singlepoint()
    except TBLiteRuntimeError as error:
        return {"failed": str(error)}
    one = {"energy": float(found.get("energy")), "gradient": found.get("gradient").tolist()}
    if fr.cell is not None:
        one["virial"] = found.get("virial").tolist()
    return one


frames = []
for name, numbers, accuracies in JOBS:
    structures = read_xyz(os.path.join(data, name))
    for n in numbers:
        for method in METHODS:
            for accuracy in accuracies:
                fr = structures[n]
                frames.append({"structures": name, "frame": n, "method": method, "accuracy": accuracy,
                               "charge": fr.info.get("charge", 0), "uhf": fr.info.get("uhf", 0),
                               **single_point(fr, method, accuracy)})
write_json(sys.argv[1], {
    "program": "tblite " + version("tblite"),
    "units": {"energy": "Hartree", "gradient": "Hartree/Bohr", "virial": "Hartree"},
    "frames": frames,
})
