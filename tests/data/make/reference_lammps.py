"""Energy, forces and stress of every frame of an extended XYZ file by LAMMPS.

usage: reference_lammps.py FILE.xyz POTENTIAL.in "Ar Kr" OUT.json [energies]

Each frame becomes a data file at %.17g, read by one LAMMPS process, "run 0".
A cell that is not lower triangular (LAMMPS accepts no other) is rotated first, with the atoms, and
forces and stress are rotated back.
Stress = -(virial pressure of LAMMPS) / 1.6021765e6, the factor LAMMPS multiplies by.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from common import Frame, lammps_data, read_xyz, write_json

NKTV2P = 1.6021765e6
xyz, pot, elements, out = sys.argv[1:5]
energies_only = sys.argv[5:] == ["energies"]
types = elements.split()
here = os.path.dirname(os.path.abspath(__file__))
frames = read_xyz(xyz)
result = []
with tempfile.TemporaryDirectory() as tmp:
    script, scale, rotation = [], [], []
    for i, fr in enumerate(frames):
        box, factor, rot = None, 1.0, np.eye(3)
        if fr.cell is not None and np.any(np.triu(fr.cell, 1)):
            q, r = np.linalg.qr(fr.cell.T)              # cell = r.T q.T, r.T lower triangular
            sign = np.sign(np.diag(r))
            rot = q * sign                              # improper when the cell is left-handed
            cell = np.tril((r.T * sign))
            fr = Frame(fr.species, fr.positions @ rot, cell, fr.pbc)
        if not all(fr.pbc):
            lo, hi = fr.positions.min(0) - 20.0, fr.positions.max(0) + 20.0
            span = [[lo[k], hi[k]] for k in range(3)]
            if fr.cell is not None:
                assert np.count_nonzero(fr.cell - np.diag(np.diag(fr.cell))) == 0
                for k in range(3):
                    if fr.pbc[k]:
                        span[k] = [0.0, fr.cell[k, k]]
                    else:       # stress refers to the volume of Lattice, not of the LAMMPS box
                        factor *= (hi[k] - lo[k]) / fr.cell[k, k]
            box = (*span, (0, 0, 0))
        scale.append(factor)
        rotation.append(rot)
        lammps_data(f"{tmp}/{i}.data", fr, types, box)
        script += [
            "clear", "units metal", "atom_style atomic",
            "boundary " + " ".join("p" if p else "f" for p in fr.pbc),
            "box tilt large", f"read_data {tmp}/{i}.data", f"include {pot}",
            "neighbor 0.3 bin", "neigh_modify one 20000 page 400000",
            "compute vir all pressure NULL virial",
            "thermo_style custom step pe " + " ".join(f"c_vir[{k}]" for k in range(1, 7)),
            "thermo_modify norm no lost error",
            f"dump f all custom 1 {tmp}/{i}.forces id fx fy fz",
            "dump_modify f sort id format float %.17g", "run 0",
            'print "RESULT $(pe:%.17g) ' + " ".join(f"$(c_vir[{k}]:%.17g)" for k in range(1, 7)) + '"']
    with open(f"{tmp}/in", "w") as f:
        f.write("\n".join(script) + "\n")
    env = dict(os.environ, OMP_NUM_THREADS="1")
    log = subprocess.run(["lmp", "-in", f"{tmp}/in", "-log", "none"], cwd=here, env=env,
                         check=True, capture_output=True, text=True).stdout
    version = log[log.index("LAMMPS ("):].split("\n")[0]
    rows = [[float(x) for x in l.split()[1:]] for l in log.splitlines() if l.startswith("RESULT")]
    assert len(rows) == len(frames)
    for i, (fr, row) in enumerate(zip(frames, rows)):
        entry = {"energy": row[0]}
        if not energies_only:
            table = np.loadtxt(f"{tmp}/{i}.forces", skiprows=9, ndmin=2)
            assert (table[:, 0] == np.arange(1, len(fr) + 1)).all()
            entry["forces"] = (table[:, 1:] @ rotation[i].T).tolist()
            if fr.cell is not None:
                xx, yy, zz, xy, xz, yz = (-scale[i] * np.array(row[1:]) / NKTV2P).tolist()
                stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
                entry["stress"] = (rotation[i] @ stress @ rotation[i].T).tolist()
        result.append(entry)
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
