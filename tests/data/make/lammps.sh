#!/bin/sh
# Everything that comes from LAMMPS. usage: lammps.sh OUTDIR WORKDIR  (PYTHON: interpreter with NumPy)
set -e
out=$(realpath "$1"); work=$(realpath "$2"); here=$(dirname "$(realpath "$0")"); py=${PYTHON:-python3}
export OMP_NUM_THREADS=1
cd "$here"
$py start.py "$work"
cp ./*.in Si.sw "$work"
md() { # name T seed bc pot elements frames every columns ensemble
  ( cd "$work" && lmp -in md.in -log "$1.log" -screen none -var name "$1" -var T "$2" -var seed "$3" \
    -var bc "$4" -var pot "$5" -var elements "$6" -var frames "$7" -var every "$8" -var columns "$9" \
    -var ensemble "${10}" )
}
md argon           90  4711 "p p p" lj_argon.in   "Ar"    20 1000 "x y z"    nvt
md argon_triclinic 95  4712 "p p p" lj_argon.in   "Ar"     5 2000 "xu yu zu" nvt
md argon_slab      75  4713 "p p f" lj_argon.in   "Ar"     5 2000 "xu yu z"  nvt
md argon_cluster   25  4714 "f f f" lj_argon.in   "Ar"     5 2000 "x y z"    nvt
md ArKr           110  4715 "p p p" lj_ArKr.in    "Ar Kr"  5 2000 "x y z"    nvt
md silicon        500  4716 "p p p" sw_silicon.in "Si"    10  500 "xu yu zu" nvt
cp "$work/argon.start.data" "$work/argon_npt.start.data"
md argon_npt       85  4717 "p p p" lj_argon.in   "Ar"     5 2000 "x y z vx vy vz" npt
for name in argon argon_triclinic ArKr silicon argon_npt; do
  $py dump_to_xyz.py "$work/$name.dump" "$out/$name.xyz" "T T T"
done
$py dump_to_xyz.py "$work/argon_slab.dump" "$out/argon_slab.xyz" "T T F" 12.0
$py dump_to_xyz.py "$work/argon_cluster.dump" "$out/argon_cluster.xyz" "F F F"
$py nonreduced.py "$out/argon_triclinic.xyz" "$out/argon_rotated.xyz"
cp "$work/argon_small_cell.xyz" "$work/argon_single.xyz" "$out"
for name in argon argon_triclinic argon_small_cell argon_slab argon_cluster argon_single argon_npt argon_rotated; do
  $py reference_lammps.py "$out/$name.xyz" lj_argon.in "Ar" "$out/$name.reference.json"
done
$py reference_lammps.py "$out/argon.xyz" lj_argon_shifted.in "Ar" "$out/argon.reference.shifted.json" energies
$py reference_lammps.py "$out/ArKr.xyz" lj_ArKr.in "Ar Kr" "$out/ArKr.reference.json"
$py reference_lammps.py "$out/silicon.xyz" sw_silicon.in "Si" "$out/silicon.reference.json"
