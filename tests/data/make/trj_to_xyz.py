"""xtb.trj -> extended XYZ. usage: trj_to_xyz.py xtb.trj OUT.xyz FRAMES"""
import sys

from common import Frame, write_xyz

lines = open(sys.argv[1]).read().splitlines()
frames = []
while lines:
    n = int(lines[0])
    rows = [l.split() for l in lines[2:2 + n]]
    frames.append(Frame([r[0] for r in rows], [[float(x) for x in r[1:4]] for r in rows]))
    lines = lines[2 + n:]
write_xyz(sys.argv[2], frames[:int(sys.argv[3])])
