#!/bin/sh
# Everything that comes from xtb. usage: xtb.sh OUTDIR WORKDIR [md]   (PYTHON: interpreter with NumPy)
# Without "md" the trajectory water6.xyz of OUTDIR is kept and only the references are made again
# (xtb draws random start velocities without a fixed seed: a new trajectory is a different one).
set -e
out=$(realpath "$1"); work=$(realpath "$2"); here=$(dirname "$(realpath "$0")"); py=${PYTHON:-python3}
export OMP_NUM_THREADS=1
cd "$here"
if [ "$3" = md ]; then
  cp water6.start.xyz md.inp "$work"
  ( cd "$work" && rm -f xtbrestart mdrestart && xtb water6.start.xyz --gfn 2 --opt > opt.out 2>&1 \
    && xtb xtbopt.xyz --gfn 2 --md --input md.inp > md.out 2>&1 )
  $py trj_to_xyz.py "$work/xtb.trj" "$out/water6.xyz" 20
fi
$py molecules.py "$out"
$py reference_xtb.py "$out/water6.xyz" "2 1" "1.0 0.001" "$out/water6.reference.json"
$py reference_xtb.py "$out/charged.xyz" "2 1" "1.0 0.001" "$out/charged.reference.json"
$py reference_xtb.py "$out/periodic_gfn1.xyz" "1" "1.0 0.001" "$out/periodic_gfn1.reference.json"
$py reference_xtb.py "$out/scf_failure.xyz" "2 1" "1.0" "$out/scf_failure.reference.json" may-fail
