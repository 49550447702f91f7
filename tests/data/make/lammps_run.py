"""Energy, forces and stress of frames by LAMMPS: what the reference_*.py scripts share."""
import os
import subprocess
import tempfile

import numpy as np

from common import Frame, lammps_data

NKTV2P = 1.6021765e6
HERE = os.path.dirname(os.path.abspath(__file__))


def evaluate(frames, types, potential, charges=None, energies_only=False):
    """Every frame as a data file at %.17g, read by one LAMMPS process, "run 0".

    A cell that is not lower triangular (LAMMPS accepts no other) is rotated first, with the atoms, and forces and stress
    are rotated back. Stress = -(virial pressure of LAMMPS) / 1.6021765e6, the factor LAMMPS multiplies by.
    `potential(frame)` gives the lines that follow read_data; `charges` by type. Returns LAMMPS' version and the entries.
    """
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
            lammps_data(f"{tmp}/{i}.data", fr, types, box, charges)
            script += [
                "clear", "units metal", "atom_style " + ("charge" if charges else "atomic"),
                "boundary " + " ".join("p" if p else "f" for p in fr.pbc),
                "box tilt large", f"read_data {tmp}/{i}.data", *potential(fr),
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
        done = subprocess.run(["lmp", "-in", f"{tmp}/in", "-log", "none"], cwd=HERE, env=env,
                              capture_output=True, text=True)
        log = done.stdout
        assert done.returncode == 0, log[-2000:] + done.stderr[-2000:]
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
    return version, result
