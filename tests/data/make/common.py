"""Small helpers shared by the scripts of this folder (NumPy only)."""
import json
import re

import numpy as np

MASS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "Na": 22.990, "Si": 28.085, "Cl": 35.45, "Ar": 39.95, "Kr": 83.798}


class Frame:
    def __init__(self, species, positions, cell=None, pbc=(False,) * 3, info=None):
        self.species = list(species)
        self.positions = np.asarray(positions, float).reshape(-1, 3)
        self.cell = None if cell is None else np.asarray(cell, float).reshape(3, 3)
        self.pbc = tuple(bool(p) for p in pbc)
        self.info = dict(info or {})

    def __len__(self):
        return len(self.species)


def write_xyz(path, frames):
    """Plain extended XYZ, every number at %.17g (exact for IEEE doubles)."""
    with open(path, "w") as out:
        for fr in frames:
            head = []
            if fr.cell is not None:
                head.append('Lattice="%s"' % " ".join("%.17g" % x for x in fr.cell.ravel()))
            head.append("Properties=species:S:1:pos:R:3")
            for key, value in fr.info.items():
                head.append("%s=%s" % (key, value))
            head.append('pbc="%s"' % " ".join("T" if p else "F" for p in fr.pbc))
            out.write("%d\n%s\n" % (len(fr), " ".join(head)))
            for s, r in zip(fr.species, fr.positions):
                out.write("%-2s %.17g %.17g %.17g\n" % (s, *r))


def read_xyz(path):
    """Reads what write_xyz writes (not a general extended XYZ reader)."""
    frames = []
    with open(path) as f:
        while True:
            line = f.readline()
            if not line.strip():
                return frames
            n = int(line)
            head = f.readline()
            lattice = re.search(r'Lattice="([^"]*)"', head)
            pbc = re.search(r'pbc="([^"]*)"', head)
            cell = None if lattice is None else [float(x) for x in lattice.group(1).split()]
            flags = [x == "T" for x in pbc.group(1).split()] if pbc else [cell is not None] * 3
            info = {k: int(v) for k, v in re.findall(r"\b(charge|uhf)=(-?\d+)", head)}
            rows = [f.readline().split() for _ in range(n)]
            frames.append(Frame([r[0] for r in rows], [[float(x) for x in r[1:4]] for r in rows],
                                cell, flags, info))


def write_json(path, data):
    """JSON with numbers in the shortest form that reads back to the same double."""
    frames = data.pop("frames")
    with open(path, "w") as out:
        out.write(json.dumps(data, indent=1)[:-2] + ',\n "frames": [\n')
        out.write(",\n".join(json.dumps(fr, separators=(",", ":")) for fr in frames))
        out.write("\n ]\n}\n")


def lammps_data(path, fr, types, box=None, charges=None):
    """LAMMPS data file; the cell must be lower triangular (a along x); charges by type."""
    if box is None:
        c = fr.cell
        box = ([0.0, c[0, 0]], [0.0, c[1, 1]], [0.0, c[2, 2]], (c[1, 0], c[2, 0], c[2, 1]))
    with open(path, "w") as out:
        out.write("from extended XYZ\n\n%d atoms\n%d atom types\n\n" % (len(fr), len(types)))
        for (lo, hi), n in zip(box[:3], "xyz"):
            out.write("%.17g %.17g %slo %shi\n" % (lo, hi, n, n))
        if any(box[3]):
            out.write("%.17g %.17g %.17g xy xz yz\n" % tuple(box[3]))
        out.write("\nMasses\n\n")
        for i, s in enumerate(types, 1):
            out.write("%d %g\n" % (i, MASS[s]))
        out.write("\nAtoms # %s\n\n" % ("charge" if charges else "atomic"))
        for i, (s, r) in enumerate(zip(fr.species, fr.positions), 1):
            charge = "%.17g " % charges[s] if charges else ""
            out.write("%d %d %s%.17g %.17g %.17g\n" % (i, types.index(s) + 1, charge, *r))
