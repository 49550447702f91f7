"""References of morse, buckingham-coulomb and stillinger-weber by LAMMPS.

usage: reference_potentials.py DATADIR

The parameters in each file are those of framewise; LAMMPS' commands are made of them here.
"""
import math
import os
import sys

from common import read_xyz, write_json
from lammps_run import NKTV2P, evaluate

# LAMMPS' constant of `metal` units (qqr2e) and that of CODATA 2018 (hartree times bohr), in eV A: charges are scaled so
# that LAMMPS computes with the latter.
QQR2E = 14.399645
COULOMB = 27.211386245988 * 0.529177210903
SCALE = math.sqrt(COULOMB / QQR2E)

# Numbers for tests, not physics.
MORSE = {
    "Ar-Ar": {"D0": 0.0121, "alpha": 1.55, "r0": 3.78},
    "Ar-Kr": {"D0": 0.0144, "alpha": 1.48, "r0": 3.91},
    "Kr-Kr": {"D0": 0.0171, "alpha": 1.42, "r0": 4.05},
}
SALT = {
    "Na-Na": {"A": 487.0, "rho": 0.2377, "C": 1.05},
    "Na-Cl": {"A": 1256.31, "rho": 0.3162, "C": 7.0},
    "Cl-Cl": {"A": 3405.0, "rho": 0.3214, "C": 72.4},
}
CHARGES = {"Na": 1.0, "Cl": -1.0}


def pairs(table, types, style=""):
    for pair, values in table.items():
        if all(element in types for element in pair.split("-")):
            i, j = sorted(types.index(element) + 1 for element in pair.split("-"))
            yield f"pair_coeff {i} {j} {style}" + " ".join(str(x) for x in values.values())


def typed(table, types, **more):
    found = {f"{name}.{pair}": value for pair, values in table.items() for name, value in values.items()
             if all(element in types for element in pair.split("-"))}
    return found | more


def morse(types, cutoff, shift):
    lines = [f"pair_style morse {cutoff}", *pairs(MORSE, types), f"pair_modify shift {'yes' if shift else 'no'}"]
    return lambda _: lines, typed(MORSE, types, cutoff=cutoff, shift="energy" if shift else "none")


def salt(coulomb, types, cutoff, alpha=None, shift=False):
    style = {"none": "", "wolf": f"coul/wolf {alpha} {cutoff}", "dsf": f"coul/dsf {alpha} {cutoff}",
             "ewald": f"coul/long {cutoff}"}[coulomb]
    # LAMMPS' own erfc is good to 1e-7 of e^(-x^2) only. With such a g, next to nothing is left to it: all is in the waves.
    g = 3.0

    def lines(frame):
        made = [f"pair_style hybrid/overlay buck {cutoff} {style}", *pairs(SALT, types, "buck "),
                f"pair_modify pair buck shift {'yes' if shift else 'no'}"]
        if style:
            made.append(f"pair_coeff * * {style.split()[0]}")
        if coulomb == "ewald":
            most = [math.ceil(2 * g * 6.2 * math.dist(side, (0, 0, 0)) / (2 * math.pi)) for side in frame.cell]
            made += ["pair_modify pair coul/long table 0", "kspace_style ewald 1e-12",
                     f"kspace_modify gewald {g} kmax/ewald {most[0]} {most[1]} {most[2]}"]
        return made

    more = {f"charge.{element}": charge for element, charge in CHARGES.items()} if style else {}
    if alpha is not None:
        more["alpha"] = alpha
    return lines, typed(SALT, types, cutoff=cutoff, coulomb=coulomb, shift="energy" if shift else "none", **more)


def reference(structures, name, types, potential, charges=None, energies_only=False):
    lines, parameters = potential
    frames = read_xyz(f"{out}/{structures}")
    scaled = {element: SCALE * charge for element, charge in charges.items()} if charges else None
    version, result = evaluate(frames, types, lines, scaled, energies_only)
    write_json(f"{out}/{name}", {
        "program": version, "structures": structures,
        "units": {"energy": "eV", "forces": "eV/A", "stress": "eV/A^3, positive = tension, virial only",
                  "nktv2p": NKTV2P, **({"qqr2e": COULOMB} if charges else {})},
        "parameters": {"lammps": lines(frames[0]), "framewise": parameters}, "frames": result})
    print(f"{name}: {len(result)} frames")


out = os.path.abspath(sys.argv[1])
for name, types in [("argon_triclinic", ["Ar"]), ("argon_small_cell", ["Ar"]), ("argon_slab", ["Ar"]),
                    ("argon_cluster", ["Ar"]), ("ArKr", ["Ar", "Kr"])]:
    reference(f"{name}.xyz", f"{name}.morse.json", types, morse(types, 8.5, shift=False))
reference("ArKr.xyz", "ArKr.morse.shifted.json", ["Ar", "Kr"], morse(["Ar", "Kr"], 6.5, shift=True), energies_only=True)
ions = ["Na", "Cl"]
for name in ["NaCl", "NaCl_open"]:
    for coulomb in ["wolf", "dsf"]:
        reference(f"{name}.xyz", f"{name}.{coulomb}.json", ions, salt(coulomb, ions, 9.0, alpha=0.2), CHARGES)
reference("NaCl.xyz", "NaCl.none.json", ions, salt("none", ions, 8.0), CHARGES)
reference("NaCl.xyz", "NaCl.none.shifted.json", ions, salt("none", ions, 6.0, shift=True), CHARGES, energies_only=True)
reference("NaCl.xyz", "NaCl.ewald.json", ions, salt("ewald", ions, 9.0), CHARGES)
sw = ["pair_style sw", "pair_coeff * * SiC.sw Si C"]
reference("SiC.xyz", "SiC.reference.json", ["Si", "C"], (lambda _: sw, {"file": "make/SiC.sw"}))
