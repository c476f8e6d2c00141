r"""Activation functions and their duals, the Gaussian expectations of the infinite-width recursions.

For a centred Gaussian pair $(u, v)$ with variances $q, r$ and covariance $c$, the dual of $\sigma$ is
$E[\sigma(u)\sigma(v)]$ and the dual of its derivative is $E[\dot\sigma(u)\dot\sigma(v)]$.
Where no closed form is known, both come from a quadrature in polar coordinates and their derivatives from Price's
theorem, $\partial_c E[g(u) g(v)] = E[\dot g(u) \dot g(v)]$.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import Chebyshev, Polynomial

from ntklib import _checks

Dual = Callable[[Array, Array, Array], Array]


class Homogeneous(NamedTuple):
    r"""What $\sigma(au) = a\sigma(u)$, $a > 0$, gives: the recursion runs on the gap $s = 1 - \rho$ alone.

    `gain` is $E[\sigma(z)^2]$ for $z \sim N(0, 1)$; `step` takes s to $E[\dot\sigma\dot\sigma]$ over the gain and to
    the gap of the next layer.
    """

    gain: float
    step: Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Activation:
    r"""An activation function $\sigma$, with the closed forms of its duals where they are known.

    Args:
        name: How the activation is called in messages.
        fn: $\sigma$, applied entrywise; smooth but for a kink or a jump at 0.
        dual: $(q, c, r) \mapsto E[\sigma(u)\sigma(v)]$; without it a quadrature is used.
        dual_dot: $(q, c, r) \mapsto E[\dot\sigma(u)\dot\sigma(v)]$; without it a quadrature is used.
        homogeneous: For $\sigma(au) = a\sigma(u)$, the faster and more accurate recursion on gaps.

    Source: Guide I.2.7 · JGH §2.

    >>> relu(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=...)
    """

    name: str
    fn: Callable[[Array], Array]
    dual: Dual | None = None
    dual_dot: Dual | None = None
    homogeneous: Homogeneous | None = None

    def __call__(self, u: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Apply σ entrywise."""
        return self.fn(u)

    def derivative(self, u: Float[Array, "*s"]) -> Float[Array, "*s"]:
        r"""$\dot\sigma(u)$, entrywise, by automatic differentiation (so $\dot\sigma(0) = 0$ for ReLU)."""
        return _derivative(self.fn)(u)


def dual(
    activation: Activation, q: Float[Array, "*s"], c: Float[Array, "*s"], r: Float[Array, "*s"]
) -> Float[Array, "*s"]:
    r"""Dual activation, $E[\sigma(u)\sigma(v)]$ for $(u, v) \sim N(0, \begin{pmatrix} q & c \\ c & r \end{pmatrix})$.

    Args:
        activation: The activation function $\sigma$.
        q: Variance of $u$, any shape.
        c: Covariance of $u$ and $v$, the shape of q, with $c^2 \le q r$.
        r: Variance of $v$, the shape of q.

    Returns:
        The expectation, in the shape of q. Without a closed form it is good to about 1e-13 (float64) or to rounding
        (float32) for variances up to 1, and loses digits as $\sigma$ gets steep on the scale of $\sqrt q$.

    Raises:
        ValueError: If the shapes differ or no Gaussian pair has these variances.

    Source: Guide III.1.2 and III.3.1 · JGH Prop. 1 · depth paper Prop. 2.

    >>> one = jnp.ones(())
    >>> round(float(dual(relu, one, one, one)), 6)
    0.5
    """
    return _dual(activation, *_checks.covariance(q, c, r))


def dual_dot(
    activation: Activation, q: Float[Array, "*s"], c: Float[Array, "*s"], r: Float[Array, "*s"]
) -> Float[Array, "*s"]:
    r"""Dual of the derivative, $E[\dot\sigma(u)\dot\sigma(v)]$; by Price's theorem $\partial_c$ of `dual`.

    Args:
        activation: The activation function $\sigma$.
        q: Variance of $u$, any shape.
        c: Covariance of $u$ and $v$, the shape of q, with $c^2 \le q r$.
        r: Variance of $v$, the shape of q.

    Returns:
        The expectation, in the shape of q; its accuracy is that of `dual`.

    Raises:
        ValueError: If the shapes differ or no Gaussian pair has these variances.

    Source: Guide III.1.4 · JGH Thm 1 · depth paper Prop. 2.

    >>> one, zero = jnp.ones(()), jnp.zeros(())
    >>> round(float(dual_dot(relu, one, zero, one)), 6)
    0.25
    """
    return _dual_dot(activation, *_checks.covariance(q, c, r))


def hermite_coefficients(activation: Activation, degree: int) -> Float[Array, " {degree}+1"]:
    r"""Coefficients $a_i = E[\sigma(z) h_i(z)]$ of $\sigma = \sum_i a_i h_i$ in Hermite polynomials, $z \sim N(0, 1)$.

    With $E[h_i(z) h_j(z)] = \delta_{ij}$ the dual at variance 1 is $\hat\sigma(\rho) = \sum_i a_i^2 \rho^i$.

    Args:
        activation: The activation function $\sigma$.
        degree: The largest i.

    Returns:
        $a_0, …, a_{degree}$.

    Raises:
        ValueError: If degree is no integer from 1 on.

    Source: Guide Lemma III.3.1 · JGH Lemma 2.

    >>> bool(jnp.allclose(hermite_coefficients(relu, 1), jnp.array([(2 * jnp.pi) ** -0.5, 0.5]), atol=1e-6))
    True
    """
    _checks.count(degree, "degree")
    end = 2 * math.sqrt(degree) + 12  # h_i grows like exp(z²/4), and only beyond 2√i
    z, weights = _interval(200 + 4 * degree, end)
    z, weights = np.concatenate([-z, z]), np.tile(weights * np.exp(-z * z / 2) / math.sqrt(2 * math.pi), 2)
    h = [np.zeros_like(z), np.ones_like(z)]
    for i in range(degree):
        h.append((z * h[-1] - math.sqrt(i) * h[-2]) / math.sqrt(i + 1))
    values = activation(jnp.asarray(z, dtype=float))
    return jnp.asarray(np.stack(h[1:]) * weights, values.dtype) @ values


@partial(jax.jit, static_argnums=0)
def _dual(activation: Activation, q: Array, c: Array, r: Array) -> Array:
    return activation.dual(q, c, r) if activation.dual else _polar_dual(activation.fn, q, c, r)


@partial(jax.jit, static_argnums=0)
def _dual_dot(activation: Activation, q: Array, c: Array, r: Array) -> Array:
    return activation.dual_dot(q, c, r) if activation.dual_dot else _polar_dual(_derivative(activation.fn), q, c, r)


def _derivative(g: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda u: jax.jvp(g, (u,), (jnp.ones_like(u),))[1]


# The polar rule. With θ = arccos ρ, u = √q R sin(xω) and v = ±√r R sin((1−x)ω), 0 < x < 1, run through the sector of
# angle ω = π − θ where u and v have the same sign, and through that of angle ω = θ where they have not. Kinks at u = 0
# and v = 0 are at the ends of the sectors, so that Gauss–Legendre nodes inside see smooth functions.


def _polar_rule(g: Callable, h: Callable, q: Array, c: Array, r: Array) -> Array:
    """E[g(u) h(v)]."""
    scale, s = _scale_and_gap(q, c, r)
    theta = 2 * jnp.arcsin(finite_root(s / 2))
    root_q, root_r = finite_root(q), finite_root(r)
    n = 16 if jnp.finfo(s.dtype).eps > 1e-10 else 32
    radii, weights = _interval(2 * n, 9.0)
    radial = np.stack([radii, weights * radii * np.exp(-radii * radii / 2) / (2 * math.pi)], axis=1)
    angular = np.stack(_interval(n, 1.0), axis=1)

    def total(nodes: np.ndarray, term: Callable[[Array], Array]) -> Array:
        def add(value: Array, node: Array) -> tuple[Array, None]:
            return value + node[1] * term(node[0]), None

        return jax.lax.scan(add, jnp.zeros_like(s), jnp.asarray(nodes, s.dtype))[0]

    def sector(omega: Array, sign: int) -> Array:
        def ray(x: Array) -> Array:
            u, v = root_q * jnp.sin(x * omega), sign * root_r * jnp.sin((1 - x) * omega)
            return total(radial, lambda R: g(R * u) * h(R * v) + g(-R * u) * h(-R * v))

        return omega * total(angular, ray)

    return sector(math.pi - theta, 1) + sector(theta, -1)


def _interval(n: int, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes and weights on (0, end)."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return end * (nodes + 1) / 2, end * weights / 2


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _polar_dual(g: Callable, q: Array, c: Array, r: Array) -> Array:
    return _polar_rule(g, g, q, c, r)


@_polar_dual.defjvp
def _price(g: Callable, at: tuple, along: tuple) -> tuple[Array, Array]:
    q, c, r = at
    slope = _derivative(g)
    in_c = _polar_dual(slope, q, c, r) + _of_the_jump(g, slope, q, c, r)

    def in_variance(q: Array, r: Array) -> Array:
        """∂_q E[g(u)g(v)] = (E[u ġ(u) g(v)] − c ∂_c)/2q."""
        return (_polar_rule(lambda u: u * slope(u), g, q, c, r) - c * in_c) * _inverse(2 * q)

    d_q, d_c, d_r = along
    return _polar_dual(g, q, c, r), in_variance(q, r) * d_q + in_c * d_c + in_variance(r, q) * d_r


def _of_the_jump(g: Callable, slope: Callable, q: Array, c: Array, r: Array) -> Array:
    """What E[ġ(u)ġ(v)] has besides the function ġ where g jumps by J at 0, ġ = slope + Jδ."""
    tiny = jnp.asarray(jnp.finfo(q.dtype).tiny)
    jump = g(tiny) - g(-tiny)
    radii, weights = (jnp.asarray(a, q.dtype) for a in _interval(64, 9.0))
    gaussian = weights * jnp.exp(-radii * radii / 2) / (2 * math.pi)

    def one(q: Array, r: Array) -> Array:
        """E[δ(u) slope(v)]: given u = 0, v is Gaussian of variance r − c²/q."""
        v = finite_root(jnp.maximum(r - c * c * _inverse(q), 0))[..., None] * radii.reshape((1,) * q.ndim + (-1,))
        return ((slope(v) + slope(-v)) @ gaussian) * _inverse(finite_root(q))

    both = _inverse(2 * math.pi * finite_root(jnp.maximum(q * r - c * c, 0)))
    return jump * (jump * both + one(q, r) + one(r, q))


def _inverse(a: Array) -> Array:
    """1/a for a ≥ 0, and 0 for a = 0."""
    return jnp.where(a > 0, 1 / jnp.where(a > 0, a, 1), 0)


# ReLU, in the gap s = 1 − ρ. With θ = arccos ρ,
#   κ0 = 1 − θ/π = 1 − √s·P(s)    and    1 − h(ρ) = s − (sin θ − θ cos θ)/π = s(1 − √s·R(s)),
# where P and R are analytic on |s| < 2: no digit is lost near ρ = 1, however small the angle.


@cache
def _angle_polynomials(precision: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """P and R as polynomials in 2s − 1, on 0 ≤ s ≤ 1 to the given precision, from the series of the arcsine."""
    k = np.arange(60)
    arcsine = np.cumprod(np.where(k == 0, 1.0, (2 * k - 1) / np.maximum(2 * k, 1))) / (2 * k + 1)
    angle = math.sqrt(2) / math.pi * arcsine / 2.0**k
    degree = math.ceil(math.log(1 / precision, 3 + math.sqrt(8)))  # the singularity at s = 2 sets the rate 3 + √8

    def shortened(series: np.ndarray) -> tuple[float, ...]:
        fit = Polynomial(series).convert(kind=Chebyshev, domain=[0, 1]).truncate(degree + 1)
        return tuple(float(a) for a in fit.convert(kind=Polynomial, domain=[0, 1]).coef)

    return shortened(angle), shortened(angle / (k + 1.5))


def _horner(coefficients: tuple[float, ...], t: Array) -> Array:
    value = jnp.full_like(t, coefficients[-1])
    for a in coefficients[-2::-1]:
        value = value * t + a
    return value


def finite_root(q: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """√q for q ≥ 0, with derivative 0 at q = 0 instead of ∞."""
    return jnp.where(q > 0, jnp.sqrt(jnp.where(q > 0, q, 1)), 0)


def acute_angle(s: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    r"""$\theta/\pi$ and $(\sin\theta - \theta\cos\theta)/(\pi s)$ for $0 \le s = 1 - \cos\theta \le 1$."""
    P, R = _angle_polynomials(float(jnp.finfo(s.dtype).eps))
    root = finite_root(s)
    return root * _horner(P, 2 * s - 1), root * _horner(R, 2 * s - 1)


def relu_correlation_step(s: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    r"""One ReLU layer on the gap $s = 1 - \rho$ of a correlation $\rho = \cos\theta$, without cancellation.

    The correlation becomes $h(\rho) = (\sin\theta + (\pi - \theta)\cos\theta)/\pi$, and a neuron active at one
    point is active at the other with probability $\kappa_0 = 2 E[\dot\sigma\dot\sigma] = 1 - \theta/\pi$.

    Args:
        s: $1 - \rho$, between 0 and 2, any shape.

    Returns:
        $\kappa_0$ and the next gap $1 - h(\rho)$, in the shape of s.

    Source: Guide III.3.1 · depth paper Def. 5 and Prop. 2.

    >>> kappa0, gap = relu_correlation_step(jnp.array([0.0, 1.0, 2.0]))
    >>> kappa0.round(6).tolist(), bool(jnp.allclose(gap, jnp.array([0.0, 1 - 1 / jnp.pi, 1.0])))
    ([1.0, 0.5, 0.0], True)
    """
    obtuse = s > 1
    near = jnp.where(obtuse, 2 - s, s)  # θ → π − θ
    angle, loss = acute_angle(near)
    gap = near * (1 - loss)
    return jnp.where(obtuse, angle, 1 - angle), jnp.where(obtuse, gap + s - 1, gap)


def turn(s: Float[Array, "*s"]) -> Float[Array, "*s"]:
    r"""$\theta/\pi$, the angle of a gap $s = 1 - \cos\theta$ in half turns, to the last digit near 0 too."""
    obtuse = s > 1
    share = acute_angle(jnp.where(obtuse, 2 - s, s))[0]
    return jnp.where(obtuse, 1 - share, share)


def _scale_and_gap(q: Array, c: Array, r: Array) -> tuple[Array, Array]:
    """√(qr) and 1 − ρ; for a point with itself or its antipode exactly, whatever the roots round to."""
    scale = finite_root(q) * finite_root(r)
    s = 1 - jnp.where(scale > 0, c / jnp.where(scale > 0, scale, 1), 0)
    same, opposite = (c == q) & (c == r), (c == -q) & (c == -r)
    exact_s = jnp.where(same, 0, jnp.where(opposite, 2, jnp.clip(s, 0, 2)))
    return _mended(scale, jnp.where(same | opposite, q, scale)), _mended(s, exact_s)


def _mended(value: Array, exact: Array) -> Array:
    """The number `exact` with the derivatives of `value`."""
    return value + jax.lax.stop_gradient(exact - value)


def _homogeneous(name: str, fn: Callable, gain: float, step: Callable[[Array], tuple[Array, Array]]) -> Activation:
    def dual(q: Array, c: Array, r: Array) -> Array:
        scale, s = _scale_and_gap(q, c, r)
        return gain * scale * (1 - step(s)[1])

    def dual_dot(q: Array, c: Array, r: Array) -> Array:
        return gain * step(_scale_and_gap(q, c, r)[1])[0]

    return Activation(name, fn, dual, dual_dot, Homogeneous(gain, step))


relu = _homogeneous("relu", jax.nn.relu, 0.5, relu_correlation_step)
r"""$\sigma(u) = \max(u, 0)$, in closed form: the arc-cosine kernels of Cho and Saul."""

identity = Activation(
    "identity",
    lambda u: u,
    lambda q, c, r: c,
    lambda q, c, r: jnp.ones_like(c),
    Homogeneous(1.0, lambda s: (jnp.ones_like(s), s)),
)
r"""$\sigma(u) = u$, in closed form: deep linear networks."""


def leaky_relu(slope: float) -> Activation:
    r"""The activation $\sigma(u) = \max(u, 0) + a \min(u, 0) = a u + (1 - a) \max(u, 0)$.

    Args:
        slope: a, on the left of 0; 0 is ReLU and 1 the identity.

    Returns:
        The activation, the same object for the same slope.

    Raises:
        ValueError: If slope is not a finite number.

    Source: Guide I.2.7.

    >>> leaky_relu(0.5)(jnp.array([-2.0, 2.0])).tolist()
    [-1.0, 2.0]
    """
    _checks.number(slope, "slope")
    return _leaky_relu(float(slope))


@cache
def _leaky_relu(slope: float) -> Activation:
    norm = 1 + slope * slope

    def step(s: Array) -> tuple[Array, Array]:
        kappa0, gap = relu_correlation_step(s)
        return (2 * slope + (1 - slope) ** 2 * kappa0) / norm, (2 * slope * s + (1 - slope) ** 2 * gap) / norm

    return _homogeneous(f"leaky_relu({slope:g})", partial(jax.nn.leaky_relu, negative_slope=slope), norm / 2, step)


def polynomial(coefficients: Sequence[float]) -> Activation:
    r"""The activation $\sigma(u) = \sum_k a_k u^k$.

    Args:
        coefficients: $a_0, a_1, …$, constant first.

    Returns:
        The activation, the same object for the same coefficients.

    Raises:
        ValueError: If there is no coefficient, or one is not a finite number.

    Source: Guide III.3 · JGH Prop. 2 (which asks for what is no polynomial).

    >>> polynomial([1.0, 0.0, 2.0])(jnp.array([3.0])).tolist()
    [19.0]
    """
    numbers = tuple(coefficients)
    if not numbers:
        raise ValueError("coefficients must hold at least one number: got none. Write, for example, [0.0, 1.0].")
    for number in numbers:
        _checks.number(number, "coefficients")
    return _polynomial(tuple(map(float, numbers)))


@cache
def _polynomial(a: tuple[float, ...]) -> Activation:
    a_dot = tuple(k * a_k for k, a_k in enumerate(a))[1:] or (0.0,)
    return Activation(f"polynomial({a})", partial(_horner, a), partial(_moments, a), partial(_moments, a_dot))


def _moments(a: tuple[float, ...], q: Array, c: Array, r: Array) -> Array:
    """E[σ(u)σ(v)] = Σ_n n! B_n(q) B_n(r) c^n, B_n(q) = Σ_m a_{n+2m} (n+2m)! / (2^m m! n!) q^m."""
    f = math.factorial

    def B(n: int, q: Array) -> Array:
        terms = range((len(a) - 1 - n) // 2 + 1)
        return _horner(tuple(a[n + 2 * m] * f(n + 2 * m) / (2**m * f(m) * f(n)) for m in terms), q)

    return sum((f(n) * B(n, q) * B(n, r) * c**n for n in range(len(a))), start=jnp.zeros_like(c))


def _erf_dual(q: Array, c: Array, r: Array) -> Array:
    return 2 / math.pi * jnp.arcsin(2 * c / (jnp.sqrt(1 + 2 * q) * jnp.sqrt(1 + 2 * r)))


def _erf_dual_dot(q: Array, c: Array, r: Array) -> Array:
    return 4 / math.pi / jnp.sqrt((1 + 2 * q) * (1 + 2 * r) - 4 * c * c)


# GELU is u Φ(u). Gaussian integration by parts, twice, leaves E[ΦΦ] and E[φφ] = 1/(2π√D).


def _gelu_parts(q: Array, c: Array, r: Array) -> tuple[Array, Array, Array]:
    """E[Φ(u)Φ(v)], D = (1 + q)(1 + r) − c², and 1 − 1/(1 + q) − 1/(1 + r)."""
    both = 0.25 + jnp.arcsin(c / (jnp.sqrt(1 + q) * jnp.sqrt(1 + r))) / (2 * math.pi)
    return both, (1 + q) * (1 + r) - c * c, 1 - 1 / (1 + q) - 1 / (1 + r)


def _gelu_dual(q: Array, c: Array, r: Array) -> Array:
    both, D, k = _gelu_parts(q, c, r)
    return c * both + (q * r - k * c * c) / (2 * math.pi * jnp.sqrt(D))


def _gelu_dual_dot(q: Array, c: Array, r: Array) -> Array:
    both, D, k = _gelu_parts(q, c, r)
    return both + c * (1 - 2 * k + (q * r - k * c * c) / D) / (2 * math.pi * jnp.sqrt(D))


def _sine_dual(sign: int, q: Array, c: Array, r: Array) -> Array:
    """E[sin u sin v] for sign −1, E[cos u cos v] for +1."""
    mean = (q + r) / 2
    return (jnp.exp(c - mean) + sign * jnp.exp(-c - mean)) / 2


erf = Activation("erf", jax.scipy.special.erf, _erf_dual, _erf_dual_dot)
r"""$\sigma(u) = \frac{2}{\sqrt\pi} \int_0^u e^{-t^2} dt$, in closed form: the arcsine kernel of Williams."""

gelu = Activation("gelu", partial(jax.nn.gelu, approximate=False), _gelu_dual, _gelu_dual_dot)
r"""$\sigma(u) = u\, P(z \le u)$ for $z \sim N(0, 1)$, in closed form; not its approximation by tanh."""

sine = Activation("sine", jnp.sin, partial(_sine_dual, -1), partial(_sine_dual, 1))
r"""$\sigma(u) = \sin u$, in closed form."""

tanh = Activation("tanh", jnp.tanh)
r"""$\sigma(u) = \tanh u$, by quadrature."""
