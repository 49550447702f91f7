"""ragged.xyz: frames of different size, species and periodicity, cut out of the other files.

usage: make_ragged.py DATADIR
"""
import sys

from common import Frame, read_xyz, write_xyz

d = sys.argv[1]
water = read_xyz(f"{d}/water6.xyz")
frames = []
for i, n in enumerate([1, 2, 3, 4, 5, 6, 3, 1, 6, 2]):     # molecules; atoms are ordered O H H O H H ...
    src = water[2 * i]
    frames.append(Frame(src.species[:3 * n], src.positions[:3 * n]))
frames.append(read_xyz(f"{d}/argon_small_cell.xyz")[1])
frames.append(read_xyz(f"{d}/argon_triclinic.xyz")[2])
write_xyz(f"{d}/ragged.xyz", frames)
