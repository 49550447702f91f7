"""Energy, forces and stress by LAMMPS for models of OpenKIM: through LAMMPS' own interface to them (pair_style kim), and
by LAMMPS' own potentials where it has the same parameters.

usage: reference_kim.py OUT.json     (structures: ../kim.xyz, ../silicon.xyz, ../argon*.xyz)

Each frame becomes a data file at %.17g, read by one LAMMPS process per model, "run 0"; its neighbour lists have no skin.
Frames that do not repeat are put into a box that holds all atoms. Stress as in reference_lammps.py.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import common
from common import lammps_data, read_xyz, write_json

NKTV2P = 1.6021765e6
SHARED = "/usr/share/lammps/potentials"
here = os.path.dirname(os.path.abspath(__file__))
data = os.path.dirname(here)
common.MASS.update(dict.fromkeys("Al Cu Ni Fe C Mo Ti Zr Ga Ta Pt".split(), 50.0))    # no dynamics here

# Frames of kim.xyz.
AL, CU, NIAL, FE, SIC, C, MO, TI, CUZR, GAN, SLAB, WIRE, TA, PTC, CLUSTER = range(15)
SI = [("silicon.xyz", 0), ("kim.xyz", WIRE), ("kim.xyz", CLUSTER)]
AR = [(f"argon{kind}.xyz", 0) for kind in ("_triclinic", "_slab", "_cluster", "_small_cell")]
AR += [("argon_small_cell.xyz", 3), ("argon_npt.xyz", 2)]


def kim(*frames):
    return [("kim.xyz", n) for n in frames]


# model, frames; LAMMPS' own potential or None for pair_style kim
JOBS = [
    ("SW_StillingerWeber_1985_Si__MO_405512056662_005", SI, None),
    ("SW_StillingerWeber_1985_Si__MO_405512056662_005", SI, ("sw", "Si.sw")),
    ("SW_BereSerra_2006_GaN__MO_861114678890_000", kim(GAN), None),
    ("Tersoff_LAMMPS_Tersoff_1988T3_Si__MO_186459956893_003", SI, None),
    ("Tersoff_LAMMPS_Tersoff_1988T2_Si__MO_245095684871_003", SI, ("tersoff", f"{SHARED}/Si.tersoff")),
    ("Tersoff_LAMMPS_Tersoff_1989_SiC__MO_171585019474_003", kim(SIC, C), None),
    ("Tersoff_LAMMPS_ErhartAlbe_2005_SiC__MO_903987585848_004", kim(SIC), ("tersoff", f"{SHARED}/SiC_Erhart-Albe.tersoff")),
    ("Tersoff_LAMMPS_NordAlbeErhart_2003_GaN__MO_612061685362_003", kim(GAN), None),
    ("Tersoff_LAMMPS_AlbeNordlundAverback_2002_PtC__MO_500121566391_003", kim(PTC, C), None),
    ("EDIP_JustoBazantKaxiras_1998_Si__MO_958932894036_002", SI, None),
    ("ThreeBodyBondOrder_PPM_PurjaPunMishin_2017_Si__MO_566683736730_000", SI, None),
    ("ThreeBodyCluster_KP_KaxirasPandey_1988_Si__MO_072486242437_000", SI, None),
    ("MFF_MistriotisFlytzanisFarantos_1989_Si__MO_080526771943_001", SI[1:], None),
    ("SNAP_ZuoChenLi_2019_Si__MO_869330304805_000", SI[1:], None),
    ("SNAP_ZuoChenLi_2019quadratic_Si__MO_721469752060_000", SI[1:], None),
    ("SNAP_ChenDengTran_2017_Mo__MO_698578166685_000", kim(MO), None),
    ("EAM_Dynamo_ErcolessiAdams_1994_Al__MO_123629422045_005", kim(AL), None),
    ("EAM_Dynamo_MishinMehlPapaconstantopoulos_2001_Cu__MO_346334655118_005", kim(CU, SLAB), None),
    ("EAM_Dynamo_FoilesBaskesDaw_1986Universal3_Cu__MO_666348409573_004", kim(CU, SLAB), ("eam", f"{SHARED}/Cu_u3.eam")),
    ("EAM_Dynamo_Mishin_2004_NiAl__MO_101214310689_005", kim(NIAL, AL), None),
    ("EAM_Dynamo_MendelevSordeletKramer_2007_CuZr__MO_120596890176_005", kim(CUZR, CU), None),
    ("EAM_Dynamo_AcklandMendelevSrolovitz_2004_FeP__MO_884343146310_005", kim(FE), None),
    ("EAM_CubicNaturalSpline_ErcolessiAdams_1994_Al__MO_800509458712_002", kim(AL), None),
    ("EAM_QuinticHermiteSpline_ErcolessiAdams_1994_Al__MO_781138671863_002", kim(AL), None),
    ("EAM_NN_Johnson_1988_Cu__MO_887933271505_002", kim(CU), None),
    ("EAM_MagneticCubic_DudarevDerlet_2005_Fe__MO_135034229282_002", kim(FE), None),
    ("EAM_Magnetic2GQuintic_ChiesaDerletDudarev_2011_Fe__MO_140444321607_002", kim(FE), None),
    ("EMT_Asap_Standard_JacobsenStoltzeNorskov_1996_AlAgAuCuNiPdPt__MO_115316750986_001", kim(NIAL, CU, SLAB), None),
    ("MJ_MorrisAgaLevashov_2008_Fe__MO_857282754307_003", kim(FE), None),
    ("MEAM_LAMMPS_CostaAgrenClavaguera_2007_AlNi__MO_131642768288_000", kim(NIAL, AL), None),
    ("MEAM_LAMMPS_EtesamiAsadi_2018_Cu__MO_227887284491_000", kim(CU, SLAB), None),
    ("MEAM_LAMMPS_Lee_2006_FeC__MO_856956178669_000", kim(FE, C), None),
    ("MEAM_LAMMPS_KangEunJun_2014_SiC__MO_477506997611_000", kim(SIC), None),
    ("MEAM_LAMMPS_HennigLenoskyTrinkle_2008_Ti__MO_520569947398_000", kim(TI), None),
    ("MEAM_LAMMPS_LenoskySadighAlonso_2000_Si__MO_533426548156_000", SI, None),
    ("MEAM_LAMMPS_JeongLee_2020_PtC__MO_716623333967_000", kim(PTC), None),
    ("DUNN_WenTadmor_2019v1_C__MO_584345505904_000", kim(C), None),
    ("hNN_WenTadmor_2019Grx_C__MO_421038499185_001", kim(C), None),
    ("Morse_Shifted_GirifalcoWeizer_1959MedCutoff_Cu__MO_173787283511_004", kim(CU, SLAB), None),
    ("LJ_ElliottAkerson_2015_Universal__MO_959249795837_003", kim(NIAL, GAN), None),
    ("LJ_Shifted_Bernardes_1958MedCutoff_Ar__MO_126566794224_004", AR, None),
    ("LJ_Smoothed_Bernardes_1958_Ar__MO_764178710049_001", AR, None),
    ("Morse_QuinticSmoothed_Jelinek_1972_Ar__MO_908645784389_002", AR, None),
    ("ex_model_Ar_P_Morse_MultiCutoff", AR, None),
    ("ex_model_Ar_SLJ_MultiCutoff", AR, None),
]


def pair_style(native, model, types):
    if native is None:
        return [f"pair_style kim {model}", f"pair_coeff * * {' '.join(types)}"]
    style, file = native
    if style == "eam":
        return ["pair_style eam", f"pair_coeff * * {file}"]
    return [f"pair_style {style}", f"pair_coeff * * {file} {' '.join(types)}"]


def stillinger_weber(path):
    """Si.sw with epsilon and costheta0 as the model has them (2.1682 eV, the nearest double to -1/3)."""
    text = open(f"{here}/Si.sw").read()
    for ours, theirs in ("2.1683", "2.1682"), ("-0.333333333333", repr(-1 / 3)):
        assert text.count(f" {ours} ") == 1
        text = text.replace(f" {ours} ", f" {theirs} ")
    open(path, "w").write(text)


def evaluate(tmp, model, chosen, native):
    script, scale, numbers = [], [], []
    for i, (file, n) in enumerate(chosen):
        fr = read_xyz(f"{data}/{file}")[n]
        types = sorted(set(fr.species))
        box, factor = None, 1.0
        if not all(fr.pbc):
            lo, hi = fr.positions.min(0) - 20.0, fr.positions.max(0) + 20.0
            span = [[lo[k], hi[k]] for k in range(3)]
            if fr.cell is not None:
                assert np.count_nonzero(fr.cell - np.diag(np.diag(fr.cell))) == 0
                for k in range(3):
                    if fr.pbc[k]:
                        span[k] = [0.0, fr.cell[k, k]]
                    else:
                        factor *= (hi[k] - lo[k]) / fr.cell[k, k]
            box = (*span, (0, 0, 0))
        scale.append(factor)
        numbers.append(len(fr))
        lammps_data(f"{tmp}/{i}.data", fr, types, box)
        script += ["clear", "units metal", "atom_style atomic",
                   "boundary " + " ".join("p" if p else "f" for p in fr.pbc),
                   "box tilt large", f"read_data {tmp}/{i}.data", *pair_style(native, model, types),
                   "neighbor 0.0 bin", "neigh_modify one 20000 page 400000",
                   "compute vir all pressure NULL virial",
                   "thermo_style custom step pe " + " ".join(f"c_vir[{k}]" for k in range(1, 7)),
                   "thermo_modify norm no lost error",
                   f"dump f all custom 1 {tmp}/{i}.forces id fx fy fz",
                   "dump_modify f sort id format float %.17g", "run 0",
                   'print "RESULT $(pe:%.17g) ' + " ".join(f"$(c_vir[{k}]:%.17g)" for k in range(1, 7)) + '"']
    stillinger_weber(f"{tmp}/Si.sw")
    with open(f"{tmp}/in", "w") as f:
        f.write("\n".join(script) + "\n")
    done = subprocess.run(["lmp", "-in", "in", "-log", "none"], cwd=tmp, env=dict(os.environ, OMP_NUM_THREADS="1"),
                          capture_output=True, text=True)
    rows = [[float(x) for x in l.split()[1:]] for l in done.stdout.splitlines() if l.startswith("RESULT")]
    if len(rows) != len(chosen):
        sys.exit(f"{model} {native}: {[l for l in done.stdout.splitlines() if 'ERROR' in l] or done.stderr[-300:]}")
    frames = []
    for i, row in enumerate(rows):
        table = np.loadtxt(f"{tmp}/{i}.forces", skiprows=9, ndmin=2)
        assert (table[:, 0] == np.arange(1, numbers[i] + 1)).all()
        entry = {"structures": chosen[i][0], "frame": chosen[i][1], "energy": row[0], "forces": table[:, 1:].tolist()}
        if scale[i] and read_xyz(f"{data}/{chosen[i][0]}")[chosen[i][1]].cell is not None:
            xx, yy, zz, xy, xz, yz = (-scale[i] * np.array(row[1:]) / NKTV2P).tolist()
            entry["stress"] = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        frames.append(entry)
    return done.stdout[done.stdout.index("LAMMPS ("):].split("\n")[0], frames


result = []
for model, chosen, native in JOBS:
    with tempfile.TemporaryDirectory() as tmp:
        version, frames = evaluate(tmp, model, chosen, native)
    style = "kim" if native is None else native[0]
    result += [{"model": model, "pair_style": style, **frame} for frame in frames]
write_json(sys.argv[1], {
    "program": version,
    "units": {"energy": "eV", "forces": "eV/A", "stress": "eV/A^3, positive = tension, virial only", "nktv2p": NKTV2P},
    "frames": result})
print(f"{sys.argv[1]}: {len(result)} results of {len(set(r['model'] for r in result))} models")
