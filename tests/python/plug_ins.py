"""Plug-ins of HDF5 that come with Python's hdf5plugin.

usage: plug_ins.py path             where they are
       plug_ins.py same A B FILTER  fails unless positions of B are packed by this filter and are those of A
"""

import sys

import h5py
import hdf5plugin

if sys.argv[1] == "path":
    print(hdf5plugin.PLUGINS_PATH)
else:
    a, b = (h5py.File(name)["particles/trajectory/position/value"] for name in sys.argv[2:4])
    assert sys.argv[4] in b._filters, b._filters
    assert (a[:] == b[:]).all()
