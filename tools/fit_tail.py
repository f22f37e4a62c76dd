"""Fit the polynomial p of `tail_over_bell` in `fastnn/native/simd/elementary.pxd`; needs mpmath.

Q(z) = exp(-z^2/2) p(t) 4 / (z + k), t = (z - k) / (z + k), in the manner of M. M. Shepherd and
J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x" (1981), but of least
relative error: Remez's exchange, which makes the error +-e in turn at degree + 2 points.
"""

import mpmath
from mpmath import mp, mpf

mp.dps = 60
FITS = {"float32": (mpf("3.4375"), 9, 16), "float64": (mpf("5.5"), 21, 40)}  # k, degree, largest z


def target(t: mpf, k: mpf) -> mpf:
    """Q(z) exp(z^2/2) (z + k) / 4"""
    z = k * (1 + t) / (1 - t)
    return mpmath.erfc(z / mpmath.sqrt(2)) / 2 * mpmath.exp(z * z / 2) * (z + k) / 4


def levelled(t: list[mpf], f: list[mpf]) -> list[mpf]:
    """The polynomial whose relative error at these points is +-e in turn"""
    rows = [
        [x**j for j in range(len(t) - 1)] + [(-1) ** i * y]
        for i, (x, y) in enumerate(zip(t, f, strict=True))
    ]
    return list(mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix(f)))[:-1]


def fit(k: mpf, degree: int, largest: int, rounds: int = 8) -> tuple[list[mpf], mpf]:
    """Coefficients, lowest power first, and the largest relative error"""
    width = 1 + (largest - k) / (largest + k)  # t runs from -1 (z = 0) up by so much

    def between(i: int, n: int) -> mpf:  # Chebyshev's points, from -1 up
        return width * (1 - mpmath.cos(mpmath.pi * i / n)) / 2 - 1

    grid = [between(i, 40 * degree) for i in range(40 * degree + 1)]
    exact = [target(t, k) for t in grid]
    chosen = sorted({round(i * (len(grid) - 1) / (degree + 1)) for i in range(degree + 2)})
    for _ in range(rounds):
        p = levelled([grid[i] for i in chosen], [exact[i] for i in chosen])
        error = [mpmath.polyval(p[::-1], t) / y - 1 for t, y in zip(grid, exact, strict=True)]
        chosen = extremes(error)
        assert len(chosen) == degree + 2
    return p, max(abs(e) for e in error)


def extremes(error: list[mpf]) -> list[int]:
    """Of every run of errors with one sign, where it is largest"""
    found = [0]
    for i, e in enumerate(error):
        if e * error[found[-1]] < 0:
            found.append(i)
        elif abs(e) > abs(error[found[-1]]):
            found[-1] = i
    return found


if __name__ == "__main__":
    for name, (k, degree, largest) in FITS.items():
        p, error = fit(k, degree, largest)
        digits = 10 if name == "float32" else 18
        print(f"{name}: k = {k}, relative error {mpmath.nstr(error, 2)}")
        print(*(mpmath.nstr(c, digits, min_fixed=-3) for c in p), sep=", ")
