#!/bin/sh
# Makes every file again. usage: PYTHON=/path/to/python all.sh OUTDIR WORKDIR [md]
# OUTDIR must hold water6.xyz unless "md" is given. PYTHON needs NumPy, SciPy, h5py and tblite.
set -e
here=$(dirname "$(realpath "$0")"); py=${PYTHON:-python3}
"$here/lammps.sh" "$1" "$2"
$py "$here/start_kim.py" "$1/kim.xyz"
$py "$here/reference_kim.py" "$1/kim.reference.json"
"$here/xtb.sh" "$1" "$2" "$3"
$py "$here/reference_tblite.py" "$1/tblite.reference.json"
"$here/ragged.sh" "$1"
$py "$here/crystals.py" "$1"
$py "$here/reference_potentials.py" "$1"
$py "$here/make_mbe.py" "$1" "$2/argon_npt.dump"
$py "$here/check_brute_force.py" "$1"
$py "$here/scan.py" "$1"
