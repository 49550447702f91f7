#!/bin/sh
# LAMMPS' `rerun` on argon frames, and this project's calculator on frames of the same size and density:
# frames per second of both, one core each. Needs `lmp` (Debian: lammps).
# Both figures are wall time: the machine should be idle.
# usage: benches/lammps_rerun.sh [FRAMES]
#
# Not the same work: LAMMPS reads a text dump and writes energy and stress of every frame and forces of none;
# the calculator has its frames in memory and keeps energy, forces and stress.
set -eu
frames=${1:-1000}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/frames.in" <<'IN'
units metal
atom_style atomic
lattice fcc 5.8
region box block 0 4 0 4 0 4
create_box 1 box
create_atoms 1 box
mass 1 39.95
pair_style lj/cut 8.5
pair_coeff 1 1 0.0104 3.40
IN
# Frames of a crystal in motion, 0.05 ps apart.
cp "$work/frames.in" "$work/make.in"
cat >> "$work/make.in" <<IN
velocity all create 90 4711
fix nve all nve
timestep 0.01
dump d all custom 5 $work/dump id type x y z
dump_modify d sort id format float %.10g
thermo 100000
run $((5 * (frames - 1)))
IN
cp "$work/frames.in" "$work/rerun.in"
cat >> "$work/rerun.in" <<IN
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
thermo 1
rerun $work/dump dump x y z
IN
export OMP_NUM_THREADS=1
lmp -in "$work/make.in" -log none -screen none
start=$(date +%s.%N)
lmp -in "$work/rerun.in" -log "$work/log" -screen none
end=$(date +%s.%N)
awk -v n="$frames" -v a="$start" -v b="$end" \
  'BEGIN { printf "LAMMPS rerun, 256 atoms, cutoff 8.5 A: %.0f frames/s\n", n / (b - a) }'
cargo bench --quiet --bench calculators -- --warm-up-time 0.5 --measurement-time 2 \
  'lennard-jones/256 atoms$' 2>/dev/null | grep -A2 'time:' | sed -n 's/.*time: *\[[^ ]* [^ ]* \([^ ]*\) \([^ ]*\) .*/\1 \2/p' |
  head -n 1 | awk '{ s = $2 == "ms" ? 1e-3 : $2 == "ns" ? 1e-9 : 1e-6
    printf "framewise lennard-jones, the same: %.0f frames/s\n", 1 / ($1 * s) }'
