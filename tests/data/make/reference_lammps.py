"""Energy, forces and stress of every frame of an extended XYZ file by LAMMPS (see lammps_run.py).

usage: reference_lammps.py FILE.xyz POTENTIAL.in "Ar Kr" OUT.json [energies]
"""
import os
import sys

from common import read_xyz, write_json
from lammps_run import HERE as here, NKTV2P, evaluate

xyz, pot, elements, out = sys.argv[1:5]
energies_only = sys.argv[5:] == ["energies"]
types = elements.split()
frames = read_xyz(xyz)
version, result = evaluate(frames, types, lambda _: [f"include {pot}"], energies_only=energies_only)
with open(f"{here}/{pot}") as f:
    parameters = [" ".join(l.split()) for l in f if l.strip() and not l.startswith("#")]
extra = {}
if "sw" in pot:
    keys = "epsilon sigma a lambda gamma costheta0 A B p q tol".split()
    with open(f"{here}/Si.sw") as f:
        extra = dict(zip(keys, map(float, [l for l in f if l.startswith("Si")][0].split()[3:])))
else:
    words = [l.split() for l in parameters]
    extra = {"cutoff": float(words[0][2]), "shift": words[-1][2] == "yes",
             "pairs": {"-".join(types[int(t) - 1] for t in w[1:3]):
                       {"epsilon": float(w[3]), "sigma": float(w[4])}
                       for w in words if w[0] == "pair_coeff"}}
write_json(out, {
    "program": version, "structures": os.path.basename(xyz),
    "units": {"energy": "eV", "forces": "eV/A", "stress": "eV/A^3, positive = tension, virial only",
              "nktv2p": NKTV2P},
    "parameters": {"lammps": parameters, **extra}, "frames": result})
print(f"{out}: {len(result)} frames")
