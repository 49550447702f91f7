"""Arrays for `framewise map`, and what numpy and scipy make of them.

usage: scan.py DATADIR      writes scan.h5 and scan.reference.h5

scan.h5
  Measurement_000/Channel_000/Raw_Data   (35, 96) complex64, chunked, compressed: noisy oscillators on a 7 x 5 grid,
                                         two spectra of 48 frequencies each per row; a Main dataset of pyUSID
  exact                                  (4, 60) complex128: oscillators without noise, of the parameters in `exact_truth`
  signals                                (41, 100) big-endian float32: three waves and noise; odd number of rows
  odd                                    (6, 75) float64: rows of odd length
  images                                 (9, 6, 7) uint16, chunked, with a shuffle filter
  holes                                  (12, 8) float64: row 5 has a NaN, row 7 an infinity
  constant                               (2, 8) float64: a row of equal numbers, and one that is not
  empty                                  (0, 8) float64
  components, mean                       of `signals`, by numpy's SVD
"""
import sys

import h5py
import numpy as np
from scipy import fft, optimize, stats

folder = sys.argv[1]
rng = np.random.default_rng(20240607)


def oscillator(f, amplitude, f0, quality, phase):
    return amplitude * np.exp(1j * phase) * f0**2 / (f**2 - 1j * f * f0 / quality - f0**2)


def noisy(f, n, noise):
    truth = np.array([rng.uniform(1e-5, 5e-5, n), rng.uniform(315e3, 335e3, n),
                      rng.uniform(40, 200, n), rng.uniform(-3, 3, n)]).T
    clean = np.array([oscillator(f, *t) for t in truth])
    size = noise * np.abs(clean).max(axis=1, keepdims=True)
    return truth, clean + size * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))


def fit(f, h, start):
    """The same model in the same sense by scipy: all frequencies with the same weight."""
    unit, top = start[1], np.abs(h).max()

    def residuals(p):
        d = (p[0] + 1j * p[1]) * oscillator(f / unit, 1, p[2], 1 / p[3], 0) - h / top
        return np.concatenate([d.real, d.imag])

    a = start[0] / top * np.exp(1j * start[3])
    found = optimize.least_squares(residuals, [a.real, a.imag, 1, 1 / start[2]], method="lm",
                                   xtol=1e-15, ftol=1e-15, gtol=1e-15)
    re, im, f0, d = found.x
    r2 = 1 - 2 * found.cost / (np.abs(h / top - (h / top).mean())**2).sum()
    return [np.hypot(re, im) * top, f0 * unit, 1 / d, np.arctan2(im, re), r2]


def ancillary(group, name, values, labels, units):
    made = group.create_dataset(name, data=values)
    made.attrs["labels"], made.attrs["units"] = labels, units
    return made


def noise_filter(x, tolerance, low, high):
    spectrum = fft.fft(x)
    size = np.abs(spectrum)
    noise = np.ones(len(x), bool)
    while True:
        threshold = np.sqrt((size[noise]**2).sum() / (2 * noise.sum())) * np.sqrt(-2 * np.log(tolerance))
        less = noise & (size <= threshold)
        if (less == noise).all():
            break
        noise = less
    f = np.abs(fft.fftfreq(len(x)))
    keep = (size > threshold) & (f >= high) & (f <= low)
    return fft.ifft(np.where(keep, spectrum, 0)), threshold


def moments(x):
    x = x.reshape(len(x), -1).astype(float)
    with np.errstate(invalid="ignore"):
        return np.array([x.mean(1), x.std(1), x.min(1), x.max(1),
                         [stats.skew(r) for r in x], [stats.kurtosis(r) for r in x]])


with h5py.File(f"{folder}/scan.h5", "w") as scan, h5py.File(f"{folder}/scan.reference.h5", "w") as ref:
    f = np.linspace(300e3, 350e3, 48)
    truth, first = noisy(f, 35, 0.02)
    truth2, second = noisy(f, 35, 0.02)
    channel = scan.create_group("Measurement_000/Channel_000")
    raw = channel.create_dataset("Raw_Data", data=np.hstack([first, second]).astype(np.complex64),
                                 chunks=(4, 96), compression="gzip")
    raw.attrs["quantity"], raw.attrs["units"] = "Cantilever deflection", "m"
    grid = np.array([[i % 7, i // 7] for i in range(35)])
    columns = np.array([np.tile(np.arange(48), 2), np.repeat([0, 1], 48)])
    spectra = np.array([np.tile(f, 2), np.repeat([-1.0, 1.0], 48)])
    for name, values, labels, units in [
        ("Position_Indices", grid.astype(np.uint32), ["X", "Y"], ["um", "um"]),
        ("Position_Values", (0.25 * grid).astype(np.float32), ["X", "Y"], ["um", "um"]),
        ("Spectroscopic_Indices", columns.astype(np.uint32), ["Frequency", "DC_Offset"], ["Hz", "V"]),
        ("Spectroscopic_Values", spectra, ["Frequency", "DC_Offset"], ["Hz", "V"]),
    ]:
        raw.attrs[name] = ancillary(channel, name, values, labels, units).ref
    stored = raw[:].astype(complex)
    ref["sho"] = np.array([[fit(f, stored[i, 48 * k:48 * k + 48], t[i]) for k, t in [(0, truth), (1, truth2)]]
                           for i in range(35)])

    f = np.linspace(300e3, 350e3, 60)
    exact_truth, exact = noisy(f, 4, 0.0)
    scan["exact"], scan["exact_truth"], scan["exact_frequencies"] = exact, exact_truth, f

    t = np.arange(100)
    signals = sum(a * np.sin(2 * np.pi * w * t + rng.uniform(0, 6, (41, 1))) for a, w in [(2, 0.05), (1, 0.21), (0.5, 0.4)])
    scan["signals"] = (signals + 3 + 0.3 * rng.normal(size=signals.shape)).astype(">f4")
    scan["odd"] = rng.normal(size=(6, 75)) + np.sin(0.7 * np.arange(75)) * 3
    signals = scan["signals"][:].astype(float)
    for name, x in [("signals", signals), ("odd", scan["odd"][:]), ("complex", scan["exact"][:])]:
        filtered = [noise_filter(row, 1e-3, 0.3, 0.01) for row in x]
        ref[f"filtered_{name}"] = np.array([y if np.iscomplexobj(x) else y.real for y, _ in filtered])
        ref[f"threshold_{name}"] = [threshold for _, threshold in filtered]

    scan.create_dataset("images", data=rng.integers(0, 60000, (9, 6, 7)).astype(np.uint16), chunks=(2, 6, 7), shuffle=True,
                        compression="gzip")
    holes = rng.normal(size=(12, 8))
    holes[5, 3], holes[7, 0] = np.nan, np.inf
    scan["holes"] = holes
    scan["constant"] = np.array([[7.5] * 8, list(range(8))])
    scan["empty"] = np.zeros((0, 8))
    ref["statistics_signals"] = moments(signals)
    ref["statistics_images"] = moments(scan["images"][:])
    ref["statistics_phase"] = moments(np.angle(stored))

    mean = signals.mean(axis=0)
    scan["components"], scan["mean"] = np.linalg.svd(signals - mean, full_matrices=False)[2][:5], mean
    scores = (signals - mean) @ scan["components"][:].T
    ref["scores"] = scores
    ref["residual"] = np.linalg.norm(signals - mean - scores @ scan["components"][:], axis=1)
