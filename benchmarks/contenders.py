"""The contenders of this environment: each function takes a case and returns a call to be timed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems

import ntklib as nk

Call = Callable[[], Any]
NETWORK = nk.MLP(problems.DEPTH, nk.relu, problems.BETA)
UNROLLED = 10
"""Up to this depth the textbook's loop is compiled layer by layer; beyond, that would take minutes."""


# Infinite width


def gram(N: int, depth: int, dtype: str, norms: str) -> Call:
    """The bare product X Xᵀ, all of it."""
    x = jnp.asarray(problems.points(N, dtype, norms))
    return partial(jax.jit(lambda x: jnp.matmul(x, x.T, precision=jax.lax.Precision.HIGHEST)), x)


def limit(N: int, depth: int, dtype: str, norms: str) -> Call:
    return partial(nk.ntk, nk.MLP(depth, nk.relu, problems.BETA), jnp.asarray(problems.points(N, dtype, norms)))


def textbook_jax(N: int, depth: int, dtype: str, norms: str) -> Call:
    x = jnp.asarray(problems.points(N, dtype, norms))
    return partial(jax.jit(partial(textbook, jnp, depth=depth, beta=problems.BETA)), x, x)


def textbook_numpy(N: int, depth: int, dtype: str, norms: str) -> Call:
    x = problems.points(N, dtype, norms)
    return partial(textbook, np, x, x, depth=depth, beta=problems.BETA)


def textbook(xp: Any, x: Any, y: Any, *, depth: int, beta: float) -> Any:
    """The limiting kernel of a ReLU network as the papers write it, in arccosines, for numpy or jax."""

    def layer(state: tuple, _: None) -> tuple[tuple, None]:
        q, r, sigma, theta = state
        scale = xp.sqrt(q)[:, None] * xp.sqrt(r)[None, :]
        angle = xp.arccos(xp.clip(sigma / scale, -1, 1))
        sigma = scale * (xp.sin(angle) + (xp.pi - angle) * xp.cos(angle)) / (2 * xp.pi) + beta**2
        return (q / 2 + beta**2, r / 2 + beta**2, sigma, (xp.pi - angle) / (2 * xp.pi) * theta + sigma), None

    n_0 = x.shape[1]
    sigma = x @ y.T / n_0 + beta**2
    state = (x * x).sum(1) / n_0 + beta**2, (y * y).sum(1) / n_0 + beta**2, sigma, sigma
    if xp is jnp and depth > UNROLLED:
        return jax.lax.scan(layer, state, length=depth - 1)[0][3]
    for _ in range(depth - 1):
        state, _ = layer(state, None)
    return state[3]


# Finite width


def empirical(N: int, width: int) -> Call:
    return partial(nk.empirical_ntk, NETWORK, *_network(N, width))


def jacobian(N: int, width: int) -> Call:
    """Sum over the parameters of products of derivatives, array by array."""

    def kernel(params: nk.Params, x: jax.Array) -> jax.Array:
        of_one = jax.grad(lambda p, point: nk.apply(NETWORK, p, point[None])[0, 0])
        derivatives = jax.tree.leaves(jax.vmap(of_one, (None, 0))(params, x))
        return sum(d.reshape(N, -1) @ d.reshape(N, -1).T for d in derivatives)

    return partial(jax.jit(kernel), *_network(N, width))


def vector_products(N: int, width: int) -> Call:
    """Column by column: back from one output to all parameters, and forward again to all outputs."""

    def kernel(params: nk.Params, x: jax.Array) -> jax.Array:
        def outputs(p: nk.Params) -> jax.Array:
            return nk.apply(NETWORK, p, x)[:, 0]

        pull = jax.vjp(outputs, params)[1]
        return jax.lax.map(lambda column: jax.jvp(outputs, (params,), pull(column))[1], jnp.eye(N))

    return partial(jax.jit(kernel), *_network(N, width))


def _network(N: int, width: int) -> tuple[nk.Params, jax.Array]:
    params = tuple(nk.Layer(jnp.asarray(W), jnp.asarray(b)) for W, b in problems.parameters(width))
    return params, jnp.asarray(problems.points(N))


# Gradient flow, at 100 times


def flow(N: int) -> Call:
    K, y, t = _flow(N)

    def at_all_times() -> jax.Array:
        spectrum = nk.spectrum(K)
        return jax.vmap(lambda t: nk.gradient_flow(spectrum, jnp.zeros_like(y), y, t))(t)

    return at_all_times


def exponentials(N: int) -> Call:
    """A matrix exponential for each time."""
    K, y, t = _flow(N)

    @jax.jit
    def at_all_times(K: jax.Array) -> jax.Array:
        return jax.lax.map(lambda t: y - jax.scipy.linalg.expm(-t / N * K) @ y, t)

    return partial(at_all_times, K)


def _flow(N: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    K = nk.ntk(NETWORK, jnp.asarray(problems.points(N, "float64")))
    return K, jnp.asarray(problems.targets(N)), jnp.asarray(problems.times())
