"""Functions for tests/map_python.rs. A row whose first number is above 90 is the poisoned one."""
import os
import time

import numpy as np


def moments(row, power=2, how=""):
    if row.flat[0] > 90:
        if how == "raise":
            raise ValueError("poisoned")
        if how == "exit":
            os._exit(5)
        if how == "hang":
            time.sleep(1000)
        if how == "shape":
            return {"Sum": row.sum(), "Powers": row[1:]}
        if how == "nan":
            return {"Sum": np.nan, "Powers": row}
    print("the function prints")
    return {"Sum": row.sum(), "Powers": row ** power}


def together(rows, power=2, how=""):
    if how == "exit" and (rows[:, 0] > 90).any():
        os._exit(5)
    return {"Sum": rows.sum(axis=1), "Powers": rows ** power}


def counted(row):
    """Of other types, as its attribute says; not to be called with ones."""
    if (row == 1).all():
        raise ValueError("ones")
    return {"Above": int((row > 0).sum()), "Flags": row > 0, "Wave": np.fft.fft(row).astype("c8"), "Hole": float("nan")}


counted.results = {"Above": ("i8", ()), "Flags": (bool, (6,)), "Wave": ("c8", 6, "V"), "Hole": ("f8", (), "s", "optional")}


def words(row):
    return "text"


def nothing(row):
    return {}


def slash(row):
    return {"a/b": 1.0}


def of_the_rank(row):
    """Another number of results in each process."""
    return {f"Result_{n}": 0.0 for n in range(1 + os.getpid() % 1000)}
