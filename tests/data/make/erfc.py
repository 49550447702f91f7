"""Coefficients of `erfc` in src/domain/calculators/functions.rs (needs mpmath).

(1 + 2x) exp(x^2) erfc(x) is smooth from x = 0 to infinity in u = (x - 3.5) / (x + 3.5): the Chebyshev interpolant of 22
terms deviates from it by the number printed first. Coefficients of u^0, u^1, ... follow.
"""
from mpmath import chebyfit, erfc, exp, mp, mpf, nstr, pi, sqrt

mp.dps = 60
MIDDLE = mpf("3.5")


def scaled(u):
    if u >= 1:
        return 2 / sqrt(pi)
    x = MIDDLE * (1 + u) / (1 - u)
    if x > 1e6:                                             # exp(x^2) overflows even here: the asymptotic series
        return (1 + 2 * x) / (x * sqrt(pi)) * (1 - 1 / (2 * x * x) + 3 / (4 * x**4))
    return (1 + 2 * x) * exp(x * x) * erfc(x)


coefficients, error = chebyfit(scaled, [-1, 1], 22, error=True)
print("# deviation", nstr(error, 3))
for c in reversed(coefficients):
    print(repr(float(c)))
