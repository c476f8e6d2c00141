r"""Infinite width: the kernels $\Sigma^{(L)}$ and $\Theta_\infty^{(L)}$.

With $q^{(\ell)}(x) = \Sigma^{(\ell)}(x, x)$, the recursion over layers is

$\Sigma^{(1)} = \frac{1}{n_0} x^T x' + \beta^2$, $\quad\Sigma^{(\ell+1)} = E[\sigma(u)\sigma(v)] + \beta^2$,
$\quad\Theta^{(1)} = \Sigma^{(1)}$,
$\quad\Theta^{(\ell+1)} = E[\dot\sigma(u)\dot\sigma(v)]\,\Theta^{(\ell)} + \Sigma^{(\ell+1)}$,

for $(u, v)$ centred Gaussian with covariance $\Sigma^{(\ell)}$ at $x, x'$.
For ReLU it runs in the gap $s = 1 - \rho$ and in $T = \Theta/\sqrt{q q'}$, where nothing cancels:
$s \leftarrow c c' (1 - h) + \frac12((c - c')^2 + (d - d')^2)$ and $T \leftarrow c c' \kappa_0 T + 1 - s$, with
$c = \sqrt{q/2q^+}$ and $d = \beta/\sqrt{q^+}$ for the variance $q^+$ of the next layer.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklib import _blocks, _checks
from ntklib.activations import dual, dual_dot, finite_root, relu, relu_correlation_step
from ntklib.mlp import MLP


class Kernels(NamedTuple):
    r"""$\Sigma^{(l)}$, $\dot\Sigma$, $\Theta^{(l)}$ of all layers; `sigma_dot[l-1]` is taken under $\Sigma^{(l)}$."""

    sigma: Float[Array, "L N M"]
    sigma_dot: Float[Array, "L-1 N M"]
    ntk: Float[Array, "L N M"]


_State = tuple[Array, Array]


class _Variances(NamedTuple):
    """q(x) and q(x′) at one layer and at the next, as columns and rows."""

    q: Float[Array, "N 1"]
    q_next: Float[Array, "N 1"]
    r: Float[Array, "1 M"]
    r_next: Float[Array, "1 M"]


class _Recursion(NamedTuple):
    """A recursion over layers: its first state, the variances by layer, one step, and what a state says of (Σ, Θ)."""

    first: _State
    variances: _Variances
    step: Callable[[_State, _Variances], tuple[_State, Array]]
    read: Callable[[_State, Array, Array], tuple[Array, Array]]


class _Points(NamedTuple):
    """What a tile needs of its points: norm and direction of (x/√n_0, β), and the variances by layer."""

    norm: Float[Array, "N 1"]
    unit: Float[Array, "N n0+1"]
    variances: Float[Array, "N L"]


def sigma(
    mlp: MLP, x: Float[Array, "N n0"], y: Float[Array, "M n0"] | None = None, *, block_size: int | None = None
) -> Float[Array, "N M"]:
    r"""Covariance of the outputs at initialisation, $\Sigma^{(L)}(x, x') = \lim E[f_{\theta,k}(x) f_{\theta,k}(x')]$.

    Args:
        mlp: The network.
        x: N points of dimension n_0, one per row.
        y: M points; without them the points of x, at half the cost.
        block_size: Points per tile; only to bound the memory, the values are the same.

    Returns:
        The kernel matrix, (N, M).

    Raises:
        ValueError: If x or y is not (number of points, n_0), not finite, or the dimensions differ.
        TypeError: If dtypes differ or are not floating.

    Source: Guide III.1.2 · JGH Prop. 1.

    >>> round(float(sigma(MLP(depth=2, beta=0.0), jnp.ones((1, 3)))[0, 0]), 6)
    0.5
    """
    return _gram(mlp, x, y, block_size, ntk=False)


def ntk(
    mlp: MLP, x: Float[Array, "N n0"], y: Float[Array, "M n0"] | None = None, *, block_size: int | None = None
) -> Float[Array, "N M"]:
    r"""The limiting neural tangent kernel $\Theta_\infty^{(L)}(x, x')$.

    With n_L outputs the limit is $\Theta_\infty^{(L)} \otimes Id_{n_L}$.

    Args:
        mlp: The network.
        x: N points of dimension n_0, one per row.
        y: M points; without them the points of x, at half the cost.
        block_size: Points per tile; only to bound the memory, the values are the same.

    Returns:
        The kernel matrix, (N, M).

    Raises:
        ValueError: If x or y is not (number of points, n_0), not finite, or the dimensions differ.
        TypeError: If dtypes differ or are not floating.

    Source: Guide III.1.4 · JGH Thm 1 · depth paper Prop. 1.

    >>> round(float(ntk(MLP(depth=3, beta=0.0), jnp.ones((1, 4)))[0, 0]), 6)
    0.75
    """
    return _gram(mlp, x, y, block_size, ntk=True)


def kernels_by_layer(mlp: MLP, x: Float[Array, "N n0"], y: Float[Array, "M n0"] | None = None) -> Kernels:
    r"""$\Sigma^{(1)}, …, \Sigma^{(L)}$, the factors $\dot\Sigma$ between them and $\Theta^{(1)}, …, \Theta^{(L)}$.

    Args:
        mlp: The network.
        x: N points of dimension n_0, one per row.
        y: M points; without them the points of x.

    Returns:
        `Kernels(sigma, sigma_dot, ntk)` with the layer as first axis; `sigma_dot[l-1]` is
        $E[\dot\sigma(u)\dot\sigma(v)]$ under $\Sigma^{(l)}$, which leads from layer l to layer l + 1.

    Raises:
        ValueError: If x or y is not (number of points, n_0), not finite, or the dimensions differ.
        TypeError: If dtypes differ or are not floating.

    Source: Guide III.1.2 and III.1.4 (there $\dot\Sigma^{(l+1)}$) · JGH Thm 1 (v1: $\dot\Sigma^{(l)}$).

    >>> k = kernels_by_layer(MLP(depth=2), jnp.eye(3))
    >>> bool(jnp.allclose(k.ntk[1], k.sigma_dot[0] * k.ntk[0] + k.sigma[1]))
    True
    """
    x, y = _checks.pair(x, y)
    return _kernels_by_layer(mlp, x, y)


def ntk_diagonal(mlp: MLP, x: Float[Array, "N n0"]) -> Float[Array, " N"]:
    r"""The diagonal $\Theta_\infty^{(L)}(x, x)$ alone, at a cost of N L.

    Args:
        mlp: The network.
        x: N points of dimension n_0, one per row.

    Returns:
        N values.

    Raises:
        ValueError: If x is not (N, n_0) or not finite.

    Source: Guide III.1.4 · JGH Thm 1 · depth paper Prop. 1 (L‖x‖²/(n_0 2^{L−1}) for ReLU at β = 0).

    >>> round(float(ntk_diagonal(MLP(depth=3, beta=0.0), jnp.ones((1, 4)))[0]), 6)
    0.75
    """
    return _ntk_diagonal(mlp, _checks.rows(x, "x"))


def _gram(mlp: MLP, x: Array, y: Array | None, block_size: int | None, ntk: bool) -> Array:
    x, y = _checks.pair(x, y)
    if block_size is not None:
        _checks.count(block_size, "block_size")
    return _gram_core(mlp, x, y, block_size, ntk)


@partial(jax.jit, static_argnames=("block_size", "ntk"))
def _gram_core(mlp: MLP, x: Array, y: Array | None, block_size: int | None, ntk: bool) -> Array:
    def tile(rows: _Points, columns: _Points, same: Array) -> Array:
        recursion = _recursion(mlp, rows, columns, same)
        last = jax.lax.scan(lambda s, q: (recursion.step(s, q)[0], None), recursion.first, recursion.variances)[0]
        return recursion.read(last, rows.variances[:, -1:], columns.variances[:, -1:].T)[1 if ntk else 0]

    return _blocks.gram(tile, _points(mlp, x), None if y is None else _points(mlp, y), block_size)


@jax.jit
def _kernels_by_layer(mlp: MLP, x: Array, y: Array | None) -> Kernels:
    rows = _points(mlp, x)
    columns = rows if y is None else _points(mlp, y)
    recursion = _recursion(mlp, rows, columns, jnp.asarray(y is None))

    def layer(state: _State, variances: _Variances) -> tuple[_State, tuple[Array, Array, Array]]:
        state, dot = recursion.step(state, variances)
        return state, (dot, *recursion.read(state, variances.q_next, variances.r_next))

    first = recursion.read(recursion.first, rows.variances[:, :1], columns.variances[:, :1].T)
    dot, later_sigma, later_ntk = jax.lax.scan(layer, recursion.first, recursion.variances)[1]
    return Kernels(jnp.concatenate([first[0][None], later_sigma]), dot, jnp.concatenate([first[1][None], later_ntk]))


@jax.jit
def _ntk_diagonal(mlp: MLP, x: Array) -> Array:
    q = _points(mlp, x).variances.T

    def layer(theta: Array, variances: tuple[Array, Array]) -> tuple[Array, None]:
        q, q_next = variances
        return dual_dot(mlp.activation, q, q, q) * theta + q_next, None

    return jax.lax.scan(layer, q[0], (q[:-1], q[1:]))[0]


def _points(mlp: MLP, x: Array) -> _Points:
    beta = jnp.asarray(mlp.beta, x.dtype)
    lifted = jnp.concatenate([x / x.shape[1] ** 0.5, jnp.broadcast_to(beta, (x.shape[0], 1))], axis=1)
    first = (lifted * lifted).sum(1)

    def layer(q: Array, _: None) -> tuple[Array, Array]:
        q = dual(mlp.activation, q, q, q) + beta * beta
        return q, q

    later = jax.lax.scan(layer, first, length=mlp.depth - 1)[1]
    norm = jnp.where(first > 0, finite_root(first), 1)[:, None]  # 1 for a zero vector, which has no direction
    return _Points(norm, lifted / norm, jnp.concatenate([first[None], later]).T)


def _recursion(mlp: MLP, rows: _Points, columns: _Points, same: Array) -> _Recursion:
    q, r = rows.variances.T[:, :, None], columns.variances.T[:, None, :]
    s = _gap(rows.unit, columns.unit, same)
    variances = _Variances(q[:-1], q[1:], r[:-1], r[1:])
    if mlp.activation == relu and mlp.depth > 1:
        return _relu_recursion(mlp, s, variances)
    return _dual_recursion(mlp, rows.norm * columns.norm.T * (1 - s), variances)


def _gap(u: Array, v: Array, same: Array) -> Array:
    """1 − u·v for unit vectors; 0 where the points are the same, and 1 for a zero vector, also with itself.

    Near 0 and 2, where the product rounds, it is ‖u − v‖²/2 and 2 − ‖u + v‖²/2.
    """
    s = jnp.clip(1 - jnp.matmul(u, v.T, precision=jax.lax.Precision.HIGHEST), 0, 2)

    def mended(s: Array) -> Array:
        nearest = jnp.where(s > 1, -1, 1).astype(s.dtype)
        near = jax.lax.map(lambda row: ((row[0][None] - row[1][:, None] * v) ** 2).sum(1) / 2, (u, nearest))
        return jnp.where(rounds(s), jnp.where(s > 1, 2 - near, near), s)

    def rounds(s: Array) -> Array:
        return jnp.abs(s - 1) > 0.99

    s = jax.lax.cond(rounds(s).any(), mended, lambda s: s, s)
    n, m = s.shape
    diagonal = same & (jnp.arange(n)[:, None] == jnp.arange(m)[None, :])
    return jnp.where(diagonal & (s < 1), 0, s)


def _relu_recursion(mlp: MLP, s: Array, variances: _Variances) -> _Recursion:
    beta = jnp.asarray(mlp.beta, s.dtype)

    def factors(q: Array, q_next: Array) -> tuple[Array, Array]:
        positive = q_next > 0
        safe = jnp.where(positive, q_next, 1)
        return jnp.where(positive, finite_root(q / (2 * safe)), 1), beta / jnp.sqrt(safe)

    def step(state: _State, v: _Variances) -> tuple[_State, Array]:
        s, T = state
        kappa0, gap = relu_correlation_step(s)
        (c, d), (c_y, d_y) = factors(v.q, v.q_next), factors(v.r, v.r_next)
        s = c * c_y * gap + ((c - c_y) ** 2 + (d - d_y) ** 2) / 2
        return (s, c * c_y * kappa0 * T + 1 - s), kappa0 / 2

    def read(state: _State, q: Array, r: Array) -> tuple[Array, Array]:
        scale = finite_root(q) * finite_root(r)
        return scale * (1 - state[0]), scale * state[1]

    return _Recursion((s, 1 - s), variances, step, read)


def _dual_recursion(mlp: MLP, first: Array, variances: _Variances) -> _Recursion:
    beta = jnp.asarray(mlp.beta, first.dtype)

    def step(state: _State, v: _Variances) -> tuple[_State, Array]:
        sigma, theta = state
        q, r = jnp.broadcast_to(v.q, sigma.shape), jnp.broadcast_to(v.r, sigma.shape)
        dot = dual_dot(mlp.activation, q, sigma, r)
        sigma = dual(mlp.activation, q, sigma, r) + beta * beta
        return (sigma, dot * theta + sigma), dot

    return _Recursion((first, first), variances, step, lambda state, q, r: state)
