#!/bin/sh
# ragged.xyz and its reference. usage: ragged.sh OUTDIR     (PYTHON: interpreter with NumPy)
set -e
out=$(realpath "$1"); cd "$(dirname "$(realpath "$0")")"; py=${PYTHON:-python3}
$py make_ragged.py "$out"
$py reference_lammps.py "$out/ragged.xyz" lj_ragged.in "Ar H O" "$out/ragged.reference.json"
