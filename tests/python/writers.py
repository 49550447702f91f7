"""H5MD files as other programs write them: always the same three frames of a water molecule (h5py, NumPy).

usage: writers.py FILE VARIANT
"""
import sys

import h5py
import numpy as np

path, variant = sys.argv[1:]
# Multiples of 1/64: the same number in single precision, and times 10 in nm.
positions = np.round(np.random.default_rng(7).uniform(-4, 4, (3, 3, 3)) * 64) / 64
cell = np.array([[10.0, 0, 0], [1.0, 11.0, 0], [0.5, 0.25, 12.0]])
numbers = [8, 1, 1]
symbols = ["O", "H", "H"]

if variant.startswith("ragged-text:"):
    # Frames of one, two and three atoms, whose names are those of all of them together.
    words = ["Ar", "He", "Ne", "O", "H", "H"]
    kind = h5py.string_dtype() if variant.endswith("varying") else "S3"
    with h5py.File(path, "w") as f:
        f.create_group("h5md").attrs["version"] = [1, 1]
        g = f.create_group("particles/trajectory")
        g["position/value"] = np.arange(18.0).reshape(6, 3)
        g["offsets"] = [0, 1, 3, 6]
        g.create_group("species").create_dataset("value", data=np.array(words, kind), dtype=kind)
    sys.exit()

with h5py.File(path, "w") as f:
    f.create_group("h5md").attrs["version"] = [1, 1]
    g = f.create_group("particles/" + ("trajectory" if variant != "named" else "water"))
    p = g.create_group("position")
    unit = "Angstrom"
    if variant == "big-endian":
        p.create_dataset("value", data=positions, dtype=">f8")
    elif variant in ("float16", "flat-box"):
        p.create_dataset("value", data=positions, dtype="<f2" if variant == "float16" else "<f8")
    elif variant == "float32":
        p.create_dataset("value", data=positions, dtype="<f4")
    elif variant == "chunked":
        p.create_dataset("value", data=positions, chunks=(1, 3, 3), compression="gzip", shuffle=True,
                         maxshape=(None, 3, 3))
    elif variant == "nm":
        p["value"], unit = positions / 8, "nm"
    elif variant in ("unitless", "unitless-nm"):
        p["value"], unit = positions / (8 if variant == "unitless-nm" else 1), None
    else:
        p["value"] = positions
    if unit:
        p["value"].attrs["unit"] = unit
    if variant == "even-times":
        p["step"] = 250
        p["step"].attrs["offset"] = 1000
        p["time"] = 0.5
        p["time"].attrs["unit"] = "fs"
        p["time"].attrs["offset"] = 2.0
    elif variant == "times":
        p["step"] = [10, 20, 40]
        p["time"] = [1.0, 2.0, 4.0]
        p["time"].attrs["unit"] = "ns"
    box = g.create_group("box")
    box.attrs["dimension"] = 3
    scale = {"nm": 1 / 8, "unitless-nm": 1 / 8}.get(variant, 1)
    if variant == "open":
        box.attrs["boundary"] = [b"none"] * 3
    else:
        box.attrs["boundary"] = np.array(["periodic"] * 3, dtype=object)
        if variant == "cell-per-frame":
            edges = box.create_group("edges")
            edges["value"] = np.array([cell] * 3)
        elif variant == "edges":
            box["edges"] = [10.0, 11.0, 12.0]
        elif variant == "flat-box":
            box["edges"] = [[10.0, 11.0], [1.0, 2.0]]
        else:
            box["edges"] = cell * scale
    if variant == "enumeration":
        kind = h5py.enum_dtype({"H": 3, "O": 7}, basetype="i1")
        g.create_dataset("species", data=np.array([7, 3, 3], "i1"), dtype=kind)
    elif variant == "enumeration-per-frame":
        kind = h5py.enum_dtype({"H": 3, "O": 7}, basetype="i4")
        s = g.create_group("species")
        s.create_dataset("value", data=np.array([[7, 3, 3]] * 3), dtype=kind)
    elif variant.startswith("enumeration:"):
        # Of this kind of integer, and fixed or per frame: members whose bytes mean something else in the other order.
        _, base, when = variant.split(":")
        wide = np.dtype(base).itemsize > 1
        values = {"O": 256, "H": 1, "Ar": 2, "C": 512} if wide else {"O": 65, "H": 1, "Ar": 2, "C": 100}
        if np.dtype(base).kind == "i":
            values["H"] = -values["H"]
        kind = h5py.enum_dtype(values, basetype=base)
        data = np.array([values[s] for s in symbols], base)
        if when == "fixed":
            g.create_dataset("species", data=data, dtype=kind)
        else:
            g.create_group("species").create_dataset("value", data=np.array([data] * 3), dtype=kind)
    elif variant in ("text-per-frame", "long-text-per-frame", "types-in-text-per-frame"):
        words = ["OW", "HW1", "HW2"] if variant.startswith("types") else symbols
        kind = h5py.string_dtype() if variant.startswith("long") else "S4"
        g.create_group("species").create_dataset("value", data=np.array([words] * 3, kind), dtype=kind)
    elif variant == "enumeration-of-types":
        kind = h5py.enum_dtype({"HW": 0, "OW": 1}, basetype="i4")
        g.create_dataset("species", data=np.array([1, 0, 0]), dtype=kind)
    elif variant == "text":
        g.create_dataset("species", data=np.array(symbols, "S2"))
    elif variant == "long-text":
        g.create_dataset("species", data=symbols, dtype=h5py.string_dtype())
    elif variant == "types-in-text":
        g.create_dataset("species", data=["OW", "HW1", "HW2"], dtype=h5py.string_dtype())
    elif variant == "types":
        g["species"] = [2, 1, 1]
    elif variant == "uint8":
        g.create_dataset("species", data=np.array(numbers, "u1"))
    elif variant == "per-frame":
        s = g.create_group("species")
        s["value"] = [numbers] * 3
    elif variant != "no-species":
        g["species"] = numbers
