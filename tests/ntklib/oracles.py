"""The book's formulas a second time, by other means: 50 digits, float64 numpy as in the papers, and quadrature."""

import math
from collections.abc import Callable, Sequence

import mpmath as mp
import numpy as np
from scipy import integrate, special

DIGITS = 50


def relu_step(s: float) -> tuple[float, float]:
    """κ0 and 1 − h(ρ) at ρ = 1 − s, to 50 digits."""
    with mp.workdps(DIGITS):
        theta = mp.acos(1 - mp.mpf(s))
        h = (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / mp.pi
        return float(1 - theta / mp.pi), float(1 - h)


def _relu_duals(q: mp.mpf, c: mp.mpf, r: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    if q == 0 or r == 0:
        return mp.mpf(0), mp.mpf(1) / 4
    rho = max(min(c / mp.sqrt(q * r), mp.mpf(1)), mp.mpf(-1))
    theta = mp.acos(rho)
    kappa_1 = (mp.sin(theta) + (mp.pi - theta) * rho) / mp.pi
    return mp.sqrt(q * r) * kappa_1 / 2, (1 - theta / mp.pi) / 2


def _erf_duals(q: mp.mpf, c: mp.mpf, r: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    a, b = 1 + 2 * q, 1 + 2 * r
    return 2 / mp.pi * mp.asin(2 * c / mp.sqrt(a * b)), 4 / mp.pi / mp.sqrt(a * b - 4 * c * c)


def _leaky_relu_duals(q: mp.mpf, c: mp.mpf, r: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """For the slope 1/4 on the left: σ = u/4 + 3/4 relu, and E[u relu(v)] = c/2."""
    value, value_dot = _relu_duals(q, c, r)
    a = mp.mpf(1) / 4
    return a * c + (1 - a) ** 2 * value, a + (1 - a) ** 2 * value_dot


DUALS = {"relu": _relu_duals, "erf": _erf_duals, "leaky_relu(0.25)": _leaky_relu_duals}


def kernels(
    activation: str, x: Sequence[float], y: Sequence[float], beta: float, depth: int, shift: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Σ^(1..L) and Θ^(1..L) at one pair of points, to 50 digits, the first correlation moved by `shift`."""
    duals = DUALS[activation]
    with mp.workdps(DIGITS):
        b2 = mp.mpf(beta) ** 2
        q, c, r = (
            sum(mp.mpf(u) * mp.mpf(v) for u, v in zip(a, b, strict=True)) / len(x) + b2
            for a, b in ((x, x), (x, y), (y, y))
        )
        if shift:
            bound = mp.sqrt(q * r)
            c = max(-bound, min(bound, c + shift * bound))
        sigma, theta = [c], [c]
        for _ in range(depth - 1):
            dual, dual_dot = duals(q, c, r)
            q, c, r = duals(q, q, q)[0] + b2, dual + b2, duals(r, r, r)[0] + b2
            sigma.append(c)
            theta.append(dual_dot * theta[-1] + c)
        return np.array(sigma, float), np.array(theta, float)


def textbook_duals(activation: str, q: np.ndarray, c: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[σσ] and E[σ̇σ̇] in float64 as the papers write them."""
    if activation == "relu":
        theta = np.arccos(np.clip(c / np.sqrt(q * r), -1, 1))
        kappa_1 = (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi
        return np.sqrt(q * r) * kappa_1 / 2, (1 - theta / np.pi) / 2
    a = np.sqrt((1 + 2 * q) * (1 + 2 * r))
    return 2 / np.pi * np.arcsin(2 * c / a), 4 / np.pi / np.sqrt(a**2 - 4 * c**2)


def textbook_kernels(
    activation: str, q: np.ndarray, c: np.ndarray, r: np.ndarray, beta: float, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Σ^(1..L) and Θ^(1..L) from the entries of Σ^(1), in float64: good but for small angles and those near π."""
    sigma, theta = [c], [c]
    for _ in range(depth - 1):
        dual, dual_dot = textbook_duals(activation, q, c, r)
        q, r = (textbook_duals(activation, v, v, v)[0] + beta**2 for v in (q, r))
        c = dual + beta**2
        sigma.append(c)
        theta.append(dual_dot * theta[-1] + c)
    return np.array(sigma), np.array(theta)


def textbook_ntk(activation: str, x: np.ndarray, y: np.ndarray, beta: float, depth: int) -> np.ndarray:
    """Θ^(L) in float64 from points."""
    q, r = (x * x).mean(1)[:, None] + beta**2, (y * y).mean(1)[None] + beta**2
    return textbook_kernels(activation, q, x @ y.T / x.shape[1] + beta**2, r, beta, depth)[1][-1]


def slope(f: Callable[[float], np.ndarray], step: float = 2e-4) -> np.ndarray:
    """f′(0) by the difference quotient of error step⁴."""
    return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)


def dual_by_quadrature(g: Callable[[float], float], q: float, c: float, r: float) -> float:
    """E[g(u)g(v)] for any g with a kink or a jump at 0 at most: adaptive quadrature in u and in v given u."""
    deviation = math.sqrt(r - c * c / q)

    def gaussian(t: float) -> float:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

    def given(u: float) -> float:
        kink = min(max(-c / q * u / deviation, -9), 9)
        parts = ((-9, kink), (kink, 9))
        return sum(integrate.quad(lambda t: g(c / q * u + deviation * t) * gaussian(t), *part)[0] for part in parts)

    def weighted(t: float) -> float:
        return g(math.sqrt(q) * t) * given(math.sqrt(q) * t) * gaussian(t)

    return sum(integrate.quad(weighted, *side, epsabs=1e-11)[0] for side in ((-9, 0), (0, 9)))


def duals_by_quadrature(activation: str, q: float, c: float, r: float) -> tuple[float, float]:
    """E[σσ] and E[σ̇σ̇]: the mean over v given u in closed form, the mean over u by adaptive quadrature."""
    slope, variance = c / q, r - c * c / q

    def relu_given(u: float) -> tuple[float, float]:
        deviation = math.sqrt(variance)
        z = slope * u / deviation
        mean = deviation * (z * special.ndtr(z) + math.exp(-z * z / 2) / math.sqrt(2 * math.pi))
        return max(u, 0) * mean, (u > 0) * special.ndtr(z)

    def erf_given(u: float) -> tuple[float, float]:
        z = slope * u / math.sqrt(1 + 2 * variance)
        peak = 4 / math.pi / math.sqrt(1 + 2 * variance)
        return math.erf(u) * math.erf(z), peak * math.exp(-z * z - u * u)

    given = {"relu": relu_given, "erf": erf_given}[activation]
    deviation = math.sqrt(q)

    def mean(i: int) -> float:
        def weighted(t: float) -> float:
            return given(deviation * t)[i] * math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

        return sum(integrate.quad(weighted, *side, epsabs=1e-14, epsrel=1e-13)[0] for side in ((-10, 0), (0, 10)))

    return mean(0), mean(1)
