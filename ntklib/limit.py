r"""Infinite width: the kernels $\Sigma^{(L)}$ and $\Theta_\infty^{(L)}$.

With $q^{(\ell)}(x) = \Sigma^{(\ell)}(x, x)$, the recursion over layers is

$\Sigma^{(1)} = \frac{1}{n_0} x^T x' + \beta^2$, $\quad\Sigma^{(\ell+1)} = E[\sigma(u)\sigma(v)] + \beta^2$,
$\quad\Theta^{(1)} = \Sigma^{(1)}$,
$\quad\Theta^{(\ell+1)} = E[\dot\sigma(u)\dot\sigma(v)]\,\Theta^{(\ell)} + \Sigma^{(\ell+1)}$,

for $(u, v)$ centred Gaussian with covariance $\Sigma^{(\ell)}$ at $x, x'$.
For ReLU and its kin it runs in the gap $s = 1 - \rho$ and in $T = \Theta/\sqrt{q q'}$, where nothing cancels:
$s \leftarrow c c' (1 - h) + \frac12((c - c')^2 + (d - d')^2)$ and $T \leftarrow c c' \kappa_0 T + 1 - s$, with
$c = \sqrt{g q/q^+}$ and $d = \beta/\sqrt{q^+}$ for the variance $q^+$ of the next layer and $g = E[\sigma(z)^2]$.

Among points of equal norm a kernel is a function of the angle alone: it is computed at some angles, interpolated by
Chebyshev polynomials to the last digit, and evaluated at all pairs at a cost that does not grow with the depth.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntklib import _blocks, _checks
from ntklib.activations import Homogeneous, dual, dual_dot, finite_root, turn
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
    """What a tile needs of its points: norm and direction of (x/√n_0, β), the variances by layer, and who they are."""

    norm: Float[Array, "N 1"]
    unit: Float[Array, "N n0+1"]
    variances: Float[Array, "N L"]
    number: Int[Array, "N 1"]


class _Profile(NamedTuple):
    """A kernel as a function of the angle: its value at 0, a, and the rest over it as Chebyshev series in 2w − 1."""

    at_zero: Float[Array, ""]
    a: float
    coefficients: Float[Array, " degree+1"]


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
        The kernel matrix, (N, M). With several devices each computes a share of the rows, and keeps it if N is a
        multiple of their number.

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
        The kernel matrix, (N, M). With several devices each computes a share of the rows, and keeps it if N is a
        multiple of their number.

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
    profile = _profile_of_equal_norms(mlp, x, y, ntk)
    if profile is not None:
        mlp = MLP(1, beta=mlp.beta)  # the first layer is all that is left to do
    if devices := _devices(x):
        return _gram_on_devices(jax.sharding.Mesh(devices, "rows"), mlp, profile, x, y, block_size, ntk)
    return _gram_core(mlp, profile, x, y, 0 if y is None else len(y), block_size, ntk)


@partial(jax.jit, static_argnames=("block_size", "ntk"))
def _gram_core(
    mlp: MLP,
    profile: _Profile | None,
    x: Array,
    y: Array | None,
    first: int | Array,
    block_size: int | None,
    ntk: bool,
) -> Array:
    """The matrix; the points of y are numbered from 0 and those of x from `first`, so that equals are known."""

    def tile(rows: _Points, columns: _Points) -> Array:
        s = _gap(rows, columns)
        return _last_layer(mlp, s, rows, columns)[1 if ntk else 0] if profile is None else _evaluated(profile, s)

    return _blocks.gram(tile, _points(mlp, x, first), None if y is None else _points(mlp, y, 0), block_size)


# Several devices: each computes its share of the rows, with all columns.

_ROWS_PER_DEVICE = 256
"""With fewer, one device is faster than several."""


def _devices(x: Array) -> list[jax.Device]:
    """The devices to share the rows: those where x has been put, or else all; none if one is enough."""
    if not _checks.is_concrete(x):
        return []
    devices = sorted(x.sharding.device_set, key=str) if x.committed else jax.devices()
    return devices if len(devices) > 1 and len(x) >= _ROWS_PER_DEVICE * len(devices) else []


@partial(jax.jit, static_argnames=("mesh", "block_size", "ntk"))
def _gram_on_devices(
    mesh: jax.sharding.Mesh,
    mlp: MLP,
    profile: _Profile | None,
    x: Array,
    y: Array | None,
    block_size: int | None,
    ntk: bool,
) -> Array:
    columns = x if y is None else y
    share = -(-len(x) // mesh.size)
    rows = jnp.concatenate([x, jnp.ones((share * mesh.size - len(x), x.shape[1]), x.dtype)])

    def part(mlp: MLP, profile: _Profile | None, rows: Array, columns: Array) -> Array:
        first = jax.lax.axis_index("rows") * share + (0 if y is None else len(columns))
        return _gram_core(mlp, profile, rows, columns, first, block_size, ntk)

    by_rows, everywhere = jax.sharding.PartitionSpec("rows"), jax.sharding.PartitionSpec()
    spread = jax.shard_map(
        part, mesh=mesh, in_specs=(everywhere, everywhere, by_rows, everywhere), out_specs=by_rows, check_vma=False
    )
    return spread(mlp, profile, rows, columns)[: len(x)]


@jax.jit
def _kernels_by_layer(mlp: MLP, x: Array, y: Array | None) -> Kernels:
    rows = _points(mlp, x, 0 if y is None else len(y))
    columns = rows if y is None else _points(mlp, y, 0)
    recursion = _recursion(mlp, _gap(rows, columns), rows, columns)

    def layer(state: _State, variances: _Variances) -> tuple[_State, tuple[Array, Array, Array]]:
        state, dot = recursion.step(state, variances)
        return state, (dot, *recursion.read(state, variances.q_next, variances.r_next))

    first = recursion.read(recursion.first, rows.variances[:, :1], columns.variances[:, :1].T)
    dot, later_sigma, later_ntk = jax.lax.scan(layer, recursion.first, recursion.variances)[1]
    return Kernels(jnp.concatenate([first[0][None], later_sigma]), dot, jnp.concatenate([first[1][None], later_ntk]))


@jax.jit
def _ntk_diagonal(mlp: MLP, x: Array) -> Array:
    q = _points(mlp, x, 0).variances.T

    def layer(theta: Array, variances: tuple[Array, Array]) -> tuple[Array, None]:
        q, q_next = variances
        return dual_dot(mlp.activation, q, q, q) * theta + q_next, None

    return jax.lax.scan(layer, q[0], (q[:-1], q[1:]))[0]


def _points(mlp: MLP, x: Array, first: int | Array) -> _Points:
    beta = jnp.asarray(mlp.beta, x.dtype)
    lifted = jnp.concatenate([x / x.shape[1] ** 0.5, jnp.broadcast_to(beta, (x.shape[0], 1))], axis=1)
    square = (lifted * lifted).sum(1)
    norm = jnp.where(square > 0, finite_root(square), 1)[:, None]  # 1 for a zero vector, which has no direction
    return _Points(norm, lifted / norm, _diagonals(mlp, square).T, first + jnp.arange(len(x), dtype=jnp.int32)[:, None])


def _diagonals(mlp: MLP, first: Float[Array, " N"]) -> Float[Array, "L N"]:
    """Σ^(1)(x, x), …, Σ^(L)(x, x) from the first."""
    beta = jnp.asarray(mlp.beta, first.dtype)

    def layer(q: Array, _: None) -> tuple[Array, Array]:
        q = dual(mlp.activation, q, q, q) + beta * beta
        return q, q

    return jnp.concatenate([first[None], jax.lax.scan(layer, first, length=mlp.depth - 1)[1]])


def _gap(rows: _Points, columns: _Points) -> Array:
    """1 − u·v for unit vectors; 0 for a point with itself, and 1 for a zero vector, also with itself.

    Near 0 and 2, where the product rounds, it is ‖u − v‖²/2 and 2 − ‖u + v‖²/2.
    """
    u, v = rows.unit, columns.unit
    s = jnp.clip(1 - jnp.matmul(u, v.T, precision=jax.lax.Precision.HIGHEST), 0, 2)
    itself = (rows.number == columns.number.T) & (s < 1)

    def mended(s: Array) -> Array:
        nearest = jnp.where(s > 1, -1, 1).astype(s.dtype)
        near = jax.lax.map(lambda row: ((row[0][None] - row[1][:, None] * v) ** 2).sum(1) / 2, (u, nearest))
        return jnp.where(rounds(s), jnp.where(s > 1, 2 - near, near), s)

    def rounds(s: Array) -> Array:
        return (jnp.abs(s - 1) > 0.99) & ~itself

    return jnp.where(itself, 0, jax.lax.cond(rounds(s).any(), mended, lambda s: s, s))


def _last_layer(mlp: MLP, s: Array, rows: _Points, columns: _Points) -> tuple[Array, Array]:
    """Σ^(L) and Θ^(L) from the first gaps."""
    recursion = _recursion(mlp, s, rows, columns)
    last = jax.lax.scan(lambda s, q: (recursion.step(s, q)[0], None), recursion.first, recursion.variances)[0]
    return recursion.read(last, rows.variances[:, -1:], columns.variances[:, -1:].T)


def _recursion(mlp: MLP, s: Array, rows: _Points, columns: _Points) -> _Recursion:
    q, r = rows.variances.T[:, :, None], columns.variances.T[:, None, :]
    variances = _Variances(q[:-1], q[1:], r[:-1], r[1:])
    if mlp.activation.homogeneous and mlp.depth > 1:
        return _homogeneous_recursion(mlp.activation.homogeneous, mlp.beta, s, variances)
    return _dual_recursion(mlp, rows.norm * columns.norm.T * (1 - s), variances)


def _homogeneous_recursion(sigma: Homogeneous, beta: float | Array, s: Array, variances: _Variances) -> _Recursion:
    beta = jnp.asarray(beta, s.dtype)

    def factors(q: Array, q_next: Array) -> tuple[Array, Array]:
        positive = q_next > 0
        safe = jnp.where(positive, q_next, 1)
        return jnp.where(positive, finite_root(sigma.gain * q / safe), 1), beta / jnp.sqrt(safe)

    def step(state: _State, v: _Variances) -> tuple[_State, Array]:
        s, T = state
        kappa0, gap = sigma.step(s)
        (c, d), (c_y, d_y) = factors(v.q, v.q_next), factors(v.r, v.r_next)
        s = c * c_y * gap + ((c - c_y) ** 2 + (d - d_y) ** 2) / 2
        return (s, c * c_y * kappa0 * T + 1 - s), sigma.gain * kappa0

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


# Points of equal norm. With θ the angle of the lifted points (x/√n_0, β), the kernel is smooth in
# w = (1 + a) θ/(aπ + θ), which resolves the layer of width ~1/L that it has at θ = 0.

_ANGLES, _DEGREE = 192, 95
"""At how many angles a profile is computed, and the degree of the polynomial fitted to it."""


def _profile_of_equal_norms(mlp: MLP, x: Array, y: Array | None, ntk: bool) -> _Profile | None:
    """The profile, if all points have one norm, there are enough pairs to gain by it, and it is resolved."""
    pairs = len(x) * len(x if y is None else y)
    if mlp.depth < 3 or pairs < 4 * _ANGLES**2 or not all(map(_checks.is_concrete, (x, y, mlp.beta))):
        return None
    squares = np.concatenate([np.einsum("ij,ij->i", z, z, dtype=float) for z in (x, y) if z is not None])
    eps = float(jnp.finfo(x.dtype).eps)
    # Points put on a sphere, each entry rounded, have equal squared norms up to some ε.
    if np.ndim(mlp.beta) or np.ptp(squares) > (1e-6 if eps > 1e-10 else 2e-14) * squares.max():
        return None
    at_zero, coefficients = _profile(mlp, jnp.asarray(squares.mean() / x.shape[1], x.dtype), ntk)
    # Rounding leaves less than 4ε in each coefficient: what is larger is the function.
    resolved = np.abs(np.asarray(coefficients, float)) <= 4 * eps
    needed = len(resolved) - int(np.argmin(resolved[::-1]))
    return _Profile(at_zero, _resolution(mlp), coefficients[: 8 * -(-needed // 8)]) if resolved[-1] else None


def _resolution(mlp: MLP) -> float:
    """a, the share of the angles that gets half of the interpolation points."""
    return 8 * mlp.depth**-0.8


@partial(jax.jit, static_argnames="ntk")
def _profile(mlp: MLP, square: Array, ntk: bool) -> tuple[Array, Array]:
    a, dtype = _resolution(mlp), square.dtype
    w = (1 + np.cos(np.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES)) / 2
    gaps = (2 * np.sin(np.pi / 2 * a * w / (1 + a - w)) ** 2).astype(dtype)
    share = 2 / np.pi * np.arcsin(np.sqrt(gaps.astype(float) / 2))  # of the gaps as rounded: it matters near π
    fit = np.linalg.pinv(np.polynomial.chebyshev.chebvander(2 * (1 + a) * share / (a + share) - 1, _DEGREE))
    first = jnp.full((1,), square + jnp.asarray(mlp.beta, dtype) ** 2)
    point = _Points(finite_root(first)[:, None], first[:, None], _diagonals(mlp, first).T, jnp.zeros((1, 1), int))
    s = jnp.concatenate([jnp.zeros(1, dtype), jnp.asarray(gaps)])[None]
    values = _last_layer(mlp, s, point, point)[1 if ntk else 0][0]
    return values[0], jnp.matmul(jnp.asarray(fit, dtype), values[1:] / values[0], precision=jax.lax.Precision.HIGHEST)


def _evaluated(profile: _Profile, s: Array) -> Array:
    """The kernel at the first gaps s, by Clenshaw's recursion."""
    a, share = jnp.asarray(profile.a, s.dtype), turn(s)
    t = 2 * (1 + a) * share / (a + share) - 1
    b, b_next = jnp.zeros_like(t), jnp.zeros_like(t)
    for c in profile.coefficients[:0:-1]:
        b, b_next = 2 * t * b - b_next + c, b
    return profile.at_zero * jnp.where(s > 0, t * b - b_next + profile.coefficients[0], 1)
