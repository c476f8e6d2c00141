r"""Activation functions and their duals, the Gaussian expectations of the infinite-width recursions.

For a centred Gaussian pair $(u, v)$ with variances $q, r$ and covariance $c$, the dual of $\sigma$ is
$E[\sigma(u)\sigma(v)]$ and the dual of its derivative is $E[\dot\sigma(u)\dot\sigma(v)]$.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import Chebyshev, Polynomial

Dual = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class Activation:
    r"""An activation function $\sigma$ with the closed forms of its duals.

    Args:
        name: How the activation is called in messages.
        fn: $\sigma$, applied entrywise.
        dual: $(q, c, r) \mapsto E[\sigma(u)\sigma(v)]$, where a closed form is known.
        dual_dot: $(q, c, r) \mapsto E[\dot\sigma(u)\dot\sigma(v)]$, where a closed form is known.

    Source: Guide I.2.7 · JGH §2.

    >>> relu(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=...)
    """

    name: str
    fn: Callable[[Array], Array]
    dual: Dual | None = None
    dual_dot: Dual | None = None

    def __call__(self, u: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Apply σ entrywise."""
        return self.fn(u)

    def derivative(self, u: Float[Array, "*s"]) -> Float[Array, "*s"]:
        r"""$\dot\sigma(u)$, entrywise, by automatic differentiation (so $\dot\sigma(0) = 0$ for ReLU)."""
        return jax.jvp(self.fn, (u,), (jnp.ones_like(u),))[1]


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
        The expectation, in the shape of q.

    Raises:
        ValueError: If the activation has no closed dual.

    Source: Guide III.1.2 and III.3.1 · JGH Prop. 1 · depth paper Prop. 2.

    >>> one = jnp.ones(())
    >>> round(float(dual(relu, one, one, one)), 6)
    0.5
    """
    return _closed_form(activation, "dual")(q, c, r)


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
        The expectation, in the shape of q.

    Raises:
        ValueError: If the activation has no closed dual.

    Source: Guide III.1.4 · JGH Thm 1 · depth paper Prop. 2.

    >>> one, zero = jnp.ones(()), jnp.zeros(())
    >>> round(float(dual_dot(relu, one, zero, one)), 6)
    0.25
    """
    return _closed_form(activation, "dual_dot")(q, c, r)


def _closed_form(activation: Activation, name: str) -> Dual:
    form = getattr(activation, name)
    if form is None:
        raise ValueError(
            f"activation must have a closed form {name}(q, c, r): got {activation.name!r} without one. "
            f"Write Activation({activation.name!r}, fn, dual=…, dual_dot=…)."
        )
    return form


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


def relu_correlation_step(s: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    r"""One ReLU layer on the gap $s = 1 - \rho$ of a correlation $\rho = \cos\theta$, without cancellation.

    The correlation becomes $h(\rho) = (\sin\theta + (\pi - \theta)\cos\theta)/\pi$, and a neuron active at one
    point is active at the other with probability $\kappa_0 = 2 E[\dot\sigma\dot\sigma] = 1 - \theta/\pi$.

    Args:
        s: $1 - \rho$, between 0 and 2, any shape.

    Returns:
        $\kappa_0$ and the next gap $1 - h(\rho)$, in the shape of s.

    Source: depth paper Def. 5 and Prop. 2 · guide III.3.1.

    >>> kappa0, gap = relu_correlation_step(jnp.array([0.0, 1.0, 2.0]))
    >>> kappa0.round(6).tolist(), bool(jnp.allclose(gap, jnp.array([0.0, 1 - 1 / jnp.pi, 1.0])))
    ([1.0, 0.5, 0.0], True)
    """
    P, R = _angle_polynomials(float(jnp.finfo(s.dtype).eps))
    obtuse = s > 1
    near = jnp.where(obtuse, 2 - s, s)  # θ → π − θ
    root = finite_root(near)
    kappa0 = 1 - root * _horner(P, 2 * near - 1)
    gap = near * (1 - root * _horner(R, 2 * near - 1))
    return jnp.where(obtuse, 1 - kappa0, kappa0), jnp.where(obtuse, gap + s - 1, gap)


def _relu_gap(q: Array, c: Array, r: Array) -> tuple[Array, Array]:
    """√(qr) and 1 − ρ; for a point with itself or its antipode exactly, whatever the roots round to."""
    scale = finite_root(q) * finite_root(r)
    s = 1 - jnp.where(scale > 0, c / jnp.where(scale > 0, scale, 1), 0)
    same, opposite = (c == q) & (c == r), (c == -q) & (c == -r)
    exact_s = jnp.where(same, 0, jnp.where(opposite, 2, jnp.clip(s, 0, 2)))
    return _mended(scale, jnp.where(same | opposite, q, scale)), _mended(s, exact_s)


def _mended(value: Array, exact: Array) -> Array:
    """The number `exact` with the derivatives of `value`."""
    return value + jax.lax.stop_gradient(exact - value)


def _relu_dual(q: Array, c: Array, r: Array) -> Array:
    scale, s = _relu_gap(q, c, r)
    return scale * (1 - relu_correlation_step(s)[1]) / 2


def _relu_dual_dot(q: Array, c: Array, r: Array) -> Array:
    return relu_correlation_step(_relu_gap(q, c, r)[1])[0] / 2


def _erf_dual(q: Array, c: Array, r: Array) -> Array:
    return 2 / math.pi * jnp.arcsin(2 * c / (jnp.sqrt(1 + 2 * q) * jnp.sqrt(1 + 2 * r)))


def _erf_dual_dot(q: Array, c: Array, r: Array) -> Array:
    return 4 / math.pi / jnp.sqrt((1 + 2 * q) * (1 + 2 * r) - 4 * c * c)


relu = Activation("relu", jax.nn.relu, _relu_dual, _relu_dual_dot)
erf = Activation("erf", jax.scipy.special.erf, _erf_dual, _erf_dual_dot)
