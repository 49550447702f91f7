"""Recomputes the references by brute-force sums over all images (NumPy) and compares.

usage: check_brute_force.py DATADIR      exit code 1 when anything differs by more than 1e-10

Lennard-Jones: every atom against all images of every atom within the cutoff.
Stillinger-Weber: explicit sum over pairs and triplets, with analytic derivatives of the pair and
triplet terms with respect to the bond vectors. Differences are relative to the largest absolute
value of the quantity in the frame.
"""
import json
import sys

import numpy as np

from common import read_xyz

folder = sys.argv[1]


def images(fr, cutoff):
    """Shifts whose image of the (unwrapped!) structure can come within the cutoff."""
    if fr.cell is None:
        return np.zeros((1, 3))
    cell = fr.cell.copy()
    reach = cutoff + np.linalg.norm(np.ptp(fr.positions, axis=0))
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    n = [int(np.ceil(reach / h)) if p else 0 for h, p in zip(heights, fr.pbc)]
    grid = np.array(np.meshgrid(*[np.arange(-m, m + 1) for m in n], indexing="ij")).reshape(3, -1).T
    return grid @ cell


def bonds(fr, cutoff):
    """(i, j, vector) of every ordered pair within the cutoff, images included."""
    shifts = images(fr, cutoff)
    out = []
    for i in range(len(fr)):
        d = fr.positions[None] + shifts[:, None] - fr.positions[i]
        r2 = (d ** 2).sum(-1)
        s, j = np.nonzero((r2 < cutoff ** 2) & (r2 > 1e-12))
        out.append((np.full(len(j), i), j, d[s, j]))
    return [np.concatenate(x) for x in zip(*out)]


def lennard_jones(fr, p):
    i, j, d = bonds(fr, p["cutoff"])
    f, w, e = np.zeros((len(fr), 3)), np.zeros((3, 3)), 0.0
    if not len(i):
        return e, f, w
    names = np.array(fr.species)

    def value(key):
        table = {}
        for pair, v in p["pairs"].items():
            a, b = pair.split("-")
            table[a, b] = table[b, a] = v[key]
        return np.array([table[a, b] for a, b in zip(names[i], names[j])])

    eps, sig = value("epsilon"), value("sigma")
    r2 = (d ** 2).sum(1)
    s6 = (sig ** 2 / r2) ** 3
    c6 = (sig / p["cutoff"]) ** 6
    shift = 4 * eps * (c6 ** 2 - c6) if p["shift"] else 0.0
    e = 0.5 * (4 * eps * (s6 ** 2 - s6) - shift).sum()
    g = 24 * eps * (2 * s6 ** 2 - s6) / r2          # -(dE/dr)/r
    np.add.at(f, i, -g[:, None] * d)
    return e, f, 0.5 * np.einsum("n,na,nb->ab", -g, d, d)


def stillinger_weber(fr, p):
    eps, sig, a = p["epsilon"], p["sigma"], p["a"]
    i, j, d = bonds(fr, a * sig)
    r = np.sqrt((d ** 2).sum(1))
    f, w, e = np.zeros((len(fr), 3)), np.zeros((3, 3)), 0.0

    def add(i, j, d, dEdd):
        np.add.at(f, i, dEdd)
        np.add.at(f, j, -dEdd)
        return np.einsum("na,nb->ab", d, dEdd)

    x = np.exp(sig / (r - a * sig))
    rp, rq = (sig / r) ** p["p"], (sig / r) ** p["q"]
    e += 0.5 * (p["A"] * eps * (p["B"] * rp - rq) * x).sum()
    dE = 0.5 * p["A"] * eps * x * (
        (-p["B"] * p["p"] * rp + p["q"] * rq) / r
        - (p["B"] * rp - rq) * sig / (r - a * sig) ** 2)
    w += add(i, j, d, (dE / r)[:, None] * d)
    g = np.exp(p["gamma"] * sig / (r - a * sig))
    dg = -g * p["gamma"] * sig / (r - a * sig) ** 2
    for centre in range(len(fr)):
        k = np.nonzero(i == centre)[0]
        m, n = np.triu_indices(len(k), 1)
        m, n = k[m], k[n]
        c = (d[m] * d[n]).sum(1) / (r[m] * r[n])
        q = c - p["costheta0"]
        h = p["lambda"] * eps
        e += (h * q ** 2 * g[m] * g[n]).sum()
        for u, v in ((m, n), (n, m)):
            dc = d[v] / (r[u] * r[v])[:, None] - (c / r[u] ** 2)[:, None] * d[u]
            dEdd = (2 * h * q * g[u] * g[v])[:, None] * dc \
                + (h * q ** 2 * dg[u] * g[v] / r[u])[:, None] * d[u]
            w += add(i[u], j[u], d[u], dEdd)
    return e, f, w


worst = 0.0
for name in ("argon", "argon_triclinic", "argon_small_cell", "argon_slab", "argon_cluster",
             "argon_single", "argon_npt", "argon_rotated", "ragged", "ArKr", "silicon", "argon:shifted"):
    name, _, variant = name.partition(":")
    path = f"{folder}/{name}.reference{'.' + variant if variant else ''}.json"
    ref = json.load(open(path))
    model = stillinger_weber if name == "silicon" else lennard_jones
    diff = np.zeros(3)
    for fr, r in zip(read_xyz(f"{folder}/{name}.xyz"), ref["frames"], strict=True):
        e, f, w = model(fr, ref["parameters"])
        diff[0] = max(diff[0], abs(e - r["energy"]) / max(abs(e), 1e-300))
        if "forces" in r and len(fr) > 1:
            diff[1] = max(diff[1], np.abs(f - r["forces"]).max() / np.abs(f).max())
        if "stress" in r:
            s = w / abs(np.linalg.det(fr.cell))
            diff[2] = max(diff[2], np.abs(s - r["stress"]).max() / np.abs(s).max())
    print("%-26s energy %.1e forces %.1e stress %.1e" % (path.split("/")[-1], *diff))
    worst = max(worst, *diff)
sys.exit(int(worst > 1e-10))
