"""Energy and gradient of every frame of an extended XYZ file by the xtb program.

usage: reference_xtb.py FILE.xyz "2 1" "1.0 0.001" OUT.json [may-fail]     (gfn numbers, accuracies)

Every frame is one process in a fresh folder (no xtbrestart), in raw atomic units as printed:
energy from FRAME.engrad (12 decimals), gradient from the file `gradient` (14 significant digits).
With may-fail a run that ends with an error is recorded with the lines xtb prints about it.
Frames with a Lattice are handed over as POSCAR; atoms must be ordered by element there.
"""
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

from common import read_xyz, write_json

xyz, gfns, accs, out = sys.argv[1:5]
may_fail = sys.argv[5:] == ["may-fail"]
env = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# The factor of the mctc-lib readers, with which xtb 6.5.1 converts xyz and POSCAR input to Bohr (not
# the 0.52917726 of xtb's own table of constants); the assertion on `shift` below proves it.
AUTOAA = 0.52917721090449243


def number(text):
    return float(text.replace("D", "E"))


def run(fr, gfn, acc):
    with tempfile.TemporaryDirectory() as tmp:
        if fr.cell is None:
            name = "frame.xyz"
            with open(f"{tmp}/{name}", "w") as f:
                f.write("%d\n\n" % len(fr))
                for s, r in zip(fr.species, fr.positions):
                    f.write("%s %.17g %.17g %.17g\n" % (s, *r))
        else:
            name = "POSCAR"
            kinds = list(dict.fromkeys(fr.species))
            assert fr.species == [k for k in kinds for s in fr.species if s == k]
            with open(f"{tmp}/{name}", "w") as f:
                f.write("frame\n1.0\n")
                for v in fr.cell:
                    f.write("%.17g %.17g %.17g\n" % tuple(v))
                f.write(" ".join(kinds) + "\n" + " ".join(str(fr.species.count(k)) for k in kinds)
                        + "\nCartesian\n")
                for r in fr.positions:
                    f.write("%.17g %.17g %.17g\n" % tuple(r))
        command = ["xtb", name, "--gfn", gfn, "--grad", "--acc", acc,
                   "--chrg", str(fr.info.get("charge", 0)), "--uhf", str(fr.info.get("uhf", 0))]
        done = subprocess.run(command, cwd=tmp, env=env, capture_output=True, text=True)
        version = re.search(r"xtb version (\S+)", done.stdout).group(1)
        if done.returncode != 0 and may_fail:
            lines = [l.strip() for l in done.stdout.splitlines()]
            return {"exit_status": done.returncode,
                    "printed": [l for l in lines if "cannot be satisfied" in l]
                    + [l for l in lines if re.match(r"\[ERROR\]|-\d+- ", l)],
                    "files_left": sorted(os.listdir(tmp))}, version, " ".join(command)
        assert done.returncode == 0 and "convergence criteria satisfied" in done.stdout, done.stdout
        engrad = [f for f in os.listdir(tmp) if f.endswith(".engrad")][0]
        values = [l for l in open(f"{tmp}/{engrad}") if not l.startswith("#")]
        lines = open(f"{tmp}/gradient").read().splitlines()
        n = len(fr)
        read = np.array([[number(x) for x in l.split()[:3]] for l in lines[2:2 + n]]) * AUTOAA
        shift = read - fr.positions
        if fr.cell is not None:                  # xtb prints periodic coordinates wrapped
            shift = shift @ np.linalg.inv(fr.cell)
            shift = (shift - np.round(shift)) @ fr.cell
        assert np.abs(shift).max() < 1e-13, np.abs(shift).max()     # nothing lost on the way
        entry = {"energy": float(values[1]),
                 "gradient": [[number(x) for x in l.split()] for l in lines[2 + n:2 + 2 * n]]}
        return entry, version, " ".join(command)


frames = read_xyz(xyz)
result, used = [], None
for fr in frames:
    entry = dict(fr.info)
    for gfn in gfns.split():
        for acc in accs.split():
            key = f"gfn{gfn}" + ("" if acc == "1.0" else f"_acc{acc}")
            entry[key], version, used = run(fr, gfn, acc)
    result.append(entry)
write_json(out, {
    "program": f"xtb version {version}", "structures": os.path.basename(xyz),
    "units": {"energy": "Hartree", "gradient": "Hartree/Bohr",
              "angstrom_per_bohr": AUTOAA},
    "digits": {"energy": "12 decimals", "gradient": "14 significant"},
    "parameters": {"command_of_last_frame": used, "OMP_NUM_THREADS": 1,
                   "keys": "gfn2 and gfn1: --acc 1.0 (xtb's default); *_acc0.001: --acc 0.001"},
    "frames": result})
print(f"{out}: {len(result)} frames")
