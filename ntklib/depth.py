r"""Deep ReLU networks without biases: kernels at points of a sphere, as functions of the cosine $\rho$ between them.

With $\cos\theta = \rho$, the correlation runs through $\rho^{(1)} = \rho$ and $\rho^{(L+1)} = h(\rho^{(L)})$, and the
tangent kernel divided by its diagonal, $\bar\Theta^{(L)} = \Theta_\infty^{(L)}(x, x') / \Theta_\infty^{(L)}(x, x)$, is
$T^{(L)}/L$ with $T^{(1)} = \rho$ and $T^{(L+1)} = h'(\rho^{(L)})\, T^{(L)} + h(\rho^{(L)})$.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntklib import _checks
from ntklib.activations import acute_angle


class _Sum(NamedTuple):
    """A sum and what it has rounded away so far."""

    value: Array
    rest: Array


class _Layer(NamedTuple):
    """The gap s = 1 − ρ and T at one layer."""

    s: _Sum
    T: _Sum


def cosine_map(rho: Float[Array, "*s"]) -> Float[Array, "*s"]:
    r"""The correlation after one more ReLU layer, $h(\rho) = (\sin\theta + (\pi - \theta)\cos\theta)/\pi$.

    Args:
        rho: $\rho = \cos\theta$ between -1 and 1, any shape.

    Returns:
        $h(\rho)$, in the shape of rho.

    Raises:
        ValueError: If rho is not between -1 and 1 (under `jit` that is NaN).
        TypeError: If rho is not floating.

    Source: depth paper Def. 5 and Prop. 2 · Guide III.3.1.

    >>> bool(jnp.allclose(cosine_map(jnp.array([-1.0, 0.0, 1.0])), jnp.array([0.0, 1 / jnp.pi, 1.0])))
    True
    """
    return _after_one_layer(_cosines(rho))[0]


def cosine_map_derivative(rho: Float[Array, "*s"]) -> Float[Array, "*s"]:
    r"""The derivative $h'(\rho) = 1 - \theta/\pi$, also the probability that a neuron active at x is active at x'.

    Args:
        rho: $\rho = \cos\theta$ between -1 and 1, any shape.

    Returns:
        $h'(\rho)$, in the shape of rho. Its own derivative is infinite at $\pm 1$; `grad` gives 0 there.

    Raises:
        ValueError: If rho is not between -1 and 1 (under `jit` that is NaN).
        TypeError: If rho is not floating.

    Source: depth paper Def. 5 and Prop. 2.

    >>> cosine_map_derivative(jnp.array([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _after_one_layer(_cosines(rho))[2]


def correlations(rho: Float[Array, "*s"], depth: int) -> Float[Array, "L *s"]:
    r"""The correlations $\rho^{(1)} = \rho, …, \rho^{(L)} = h(\rho^{(L-1)})$ of the preactivations.

    Args:
        rho: $\rho = x^T x'$ for unit vectors, between -1 and 1, any shape.
        depth: L, the number of affine maps.

    Returns:
        $\rho^{(l)}$ with the layer as first axis.

    Raises:
        ValueError: If rho is not between -1 and 1 (under `jit` that is NaN), or depth is no integer from 1 on.
        TypeError: If rho is not floating.

    Source: depth paper Def. 3 and Prop. 2 (the map), Lemma 1 (the limit 1).

    >>> bool(jnp.allclose(correlations(jnp.array(0.0), 2), jnp.array([0.0, 1 / jnp.pi])))
    True
    """
    _checks.depth(depth)
    return _correlations(_cosines(rho), int(depth))


def normalized_ntk(rho: Float[Array, "*s"], depth: int) -> Float[Array, "*s"]:
    r"""The normalised tangent kernel $\bar\Theta^{(L)} = \Theta_\infty^{(L)}(x, x') / \Theta_\infty^{(L)}(x, x)$.

    For $\rho < 1$ it tends to $\frac14$, as $\frac14 + \frac38 \frac{\ln L}{L}$, once L exceeds $7/\sqrt{1 - \rho}$.

    Args:
        rho: $\rho = x^T x'$ for unit vectors, between -1 and 1, any shape. In a Gram matrix set the diagonal to 1:
            a diagonal that has rounded to less is the kernel of two different points.
        depth: L, the number of affine maps.

    Returns:
        $\bar\Theta^{(L)}$, in the shape of rho, with all its digits at every depth. For L > 1 its derivative is
        infinite at $\rho = \pm 1$; `grad` is finite there.

    Raises:
        ValueError: If rho is not between -1 and 1 (under `jit` that is NaN), or depth is no integer from 1 on.
        TypeError: If rho is not floating.

    Source: depth paper Def. 4, Prop. 5 and Thm 2 (there with the rate 1/L).

    >>> bool(jnp.allclose(normalized_ntk(jnp.array([0.0, 1.0]), 2), jnp.array([1 / (2 * jnp.pi), 1.0])))
    True
    """
    _checks.depth(depth)
    return _normalized_ntk(_cosines(rho), int(depth))


def normalized_ntk_by_depth(rho: Float[Array, "*s"], depth: int) -> Float[Array, "L *s"]:
    r"""The normalised tangent kernels $\bar\Theta^{(1)}, …, \bar\Theta^{(L)}$ of all depths up to L.

    Args:
        rho: $\rho = x^T x'$ for unit vectors, between -1 and 1, any shape.
        depth: L, the largest number of affine maps.

    Returns:
        $\bar\Theta^{(l)}$ with the depth as first axis.

    Raises:
        ValueError: If rho is not between -1 and 1 (under `jit` that is NaN), or depth is no integer from 1 on.
        TypeError: If rho is not floating.

    Source: depth paper Def. 4 and Prop. 5.

    >>> bool(jnp.allclose(normalized_ntk_by_depth(jnp.array(0.0), 2), jnp.array([0.0, 1 / (2 * jnp.pi)])))
    True
    """
    _checks.depth(depth)
    return _normalized_ntk_by_depth(_cosines(rho), int(depth))


def limiting_gram(n: int) -> Float[Array, "n n"]:
    r"""The limit of the matrix $\bar\Theta^{(L)}(x_i, x_j)$ of n different points, $\frac14 1 1^T + \frac34 I$.

    Args:
        n: Number of points.

    Returns:
        The matrix, (n, n).

    Raises:
        ValueError: If n is no integer from 1 on.

    Source: depth paper Thm 2.

    >>> limiting_gram(2).tolist()
    [[1.0, 0.25], [0.25, 1.0]]
    """
    _checks.count(n, "n")
    return 0.25 + 0.75 * jnp.eye(n)


def _cosines(value: Array) -> Array:
    rho = jnp.asarray(value)
    _checks.floating(rho, "rho")
    if not _checks.is_concrete(rho):
        return jnp.where(jnp.abs(rho) <= 1, rho, jnp.nan)
    _checks.finite(rho, "rho")
    if beyond := int((np.abs(np.asarray(rho)) > 1).sum()):
        raise ValueError(
            f"rho must be a cosine, between -1 and 1: got {beyond} entries beyond. "
            "Write jnp.clip(rho, -1, 1) where only rounding did it."
        )
    return rho


@jax.jit
def _after_one_layer(rho: Array) -> tuple[Array, Array, Array]:
    """h, 1 − h and h′: at an obtuse angle from that of −ρ, where h′ is 1 − h′(−ρ) and h is h(−ρ) + ρ."""
    obtuse = rho < 0
    a = jnp.where(obtuse, 1 + rho, 1 - rho)
    angle, loss = acute_angle(a)
    small = a * jnp.where(obtuse, loss, 1 - loss)
    h, gap = jnp.where(obtuse, small, 1 - small), jnp.where(obtuse, 1 - small, small)
    return h, gap, jnp.where(obtuse, angle, 1 - angle)


# At depth L a layer takes 2/L off s and adds 1 to T = L/4, so plain sums of float32 stop moving, or drift, from
# L = 1000 on. Compensated sums of the exact changes, −s(sin θ − θ cos θ)/(π s) and h − Tθ/π, are right to the last
# digit at every depth: an error of the changes is one of the same relative size of s and T.


def _second_layer(rho: Array) -> _Layer:
    h, gap, slope = _after_one_layer(rho)
    nothing = jnp.zeros_like(rho)
    return _Layer(_Sum(gap, nothing), _Sum(slope * rho + h, nothing))


def _next_layer(layer: _Layer) -> _Layer:
    s, T = layer
    angle, loss = acute_angle(s.value)  # acute from the second layer on, as h ≥ 0
    s = _add(s, -s.value * loss)
    return _Layer(s, _add(T, 1 - s.value - angle * T.value))


def _add(total: _Sum, change: Array) -> _Sum:
    change = change + total.rest
    value = total.value + change
    return _Sum(value, change - (value - total.value))


def _from_the_second_layer(rho: Array, depth: int) -> tuple[Array, Array]:
    """ρ and T of layers 2, …, L."""

    def step(layer: _Layer, _: None) -> tuple[_Layer, tuple[Array, Array]]:
        return _next_layer(layer), (1 - layer.s.value, layer.T.value)

    return jax.lax.scan(step, _second_layer(rho), length=depth - 1)[1]


@partial(jax.jit, static_argnames="depth")
def _correlations(rho: Array, depth: int) -> Array:
    return jnp.concatenate([rho[None], _from_the_second_layer(rho, depth)[0]])


@partial(jax.jit, static_argnames="depth")
def _normalized_ntk_by_depth(rho: Array, depth: int) -> Array:
    T = jnp.concatenate([rho[None], _from_the_second_layer(rho, depth)[1]])
    return T / jnp.arange(1, depth + 1, dtype=rho.dtype).reshape(-1, *(1,) * rho.ndim)


@partial(jax.jit, static_argnames="depth")
def _last_layer(rho: Array, depth: int) -> Array:
    if depth == 1:
        return rho
    last = jax.lax.scan(lambda layer, _: (_next_layer(layer), None), _second_layer(rho), length=depth - 2)[0]
    return last.T.value / depth


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _normalized_ntk(rho: Array, depth: int) -> Array:
    return _last_layer(rho, depth)


@_normalized_ntk.defjvp
def _slope(depth: int, at: tuple[Array], along: tuple[Array]) -> tuple[Array, Array]:
    """Forward, entry by entry, so that the memory of `grad` does not grow with depth either."""
    value, slope = jax.jvp(partial(_last_layer, depth=depth), at, (jnp.ones_like(at[0]),))
    return value, slope * along[0]
