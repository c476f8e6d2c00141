r"""Finite width: the tangent kernel $\Theta^{(L)}(\theta)$ of a network, and of any parametrised function.

The derivatives are rank one,
$\partial f_k / \partial W^{(\ell)} = \delta_k^{(\ell+1)} \alpha^{(\ell)T} / \sqrt{n_\ell}$
and $\partial f_k / \partial b^{(\ell)} = \beta \delta_k^{(\ell+1)}$ with
$\delta_k^{(\ell)} = \partial f_k / \partial \tilde\alpha^{(\ell)}$, so that

$\Theta_{kk'}(x, x') = \sum_\ell \delta_k^{(\ell+1)}(x)^T \delta_{k'}^{(\ell+1)}(x') \,
\left(\frac{1}{n_\ell} \alpha^{(\ell)}(x)^T \alpha^{(\ell)}(x') + \beta^2\right)$:

one forward and one backward pass, and never a Jacobian.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ntklib import _checks
from ntklib.mlp import MLP, Params, forward


class _Passes(NamedTuple):
    """α^(ℓ) of each layer, (N, n_ℓ), and δ^(ℓ+1), (n_L, N, n_{ℓ+1})."""

    activations: tuple[Array, ...]
    deltas: tuple[Array, ...]


def empirical_ntk(
    mlp: MLP, params: Params, x: Float[Array, "N n0"], y: Float[Array, "M n0"] | None = None
) -> Float[Array, "N M"]:
    r"""Tangent kernel of a network, averaged over its outputs: $\frac{1}{n_L} \sum_k \Theta_{kk}(x, x')$.

    Args:
        mlp: The network.
        params: Its parameters.
        x: N points of dimension n_0, one per row.
        y: M points; without them the points of x.

    Returns:
        The kernel matrix, (N, M); for n_L = 1 the tangent kernel itself.

    Raises:
        ValueError: If x or y is not (number of points, n_0), not finite, or params do not fit.
        TypeError: If dtypes differ.

    Source: Guide II.1.4 · JGH §4.

    >>> from ntklib import init
    >>> params = init(MLP(depth=1), jax.random.key(0), widths=(4, 3))
    >>> round(float(empirical_ntk(MLP(depth=1), params, jnp.ones((1, 4)))[0, 0]), 6)
    1.01
    """
    x, y = _checks.pair(x, y)
    return _empirical_ntk(mlp, params, x, y)


def empirical_ntk_full(
    mlp: MLP, params: Params, x: Float[Array, "N n0"], y: Float[Array, "M n0"] | None = None
) -> Float[Array, "N M nL nL"]:
    r"""Tangent kernel of a network with all pairs of outputs, $\Theta_{kk'}(x, x')$.

    Args:
        mlp: The network.
        params: Its parameters.
        x: N points of dimension n_0, one per row.
        y: M points; without them the points of x.

    Returns:
        An array (N, M, n_L, n_L), entry [i, j, k, k'] for the outputs k at x_i and k' at y_j.

    Raises:
        ValueError: If x or y is not (number of points, n_0), not finite, or params do not fit.
        TypeError: If dtypes differ.

    Source: Guide II.1.3-II.1.4 · JGH §4.

    >>> from ntklib import init
    >>> params = init(MLP(depth=2), jax.random.key(0), widths=(4, 5, 3))
    >>> empirical_ntk_full(MLP(depth=2), params, jnp.ones((1, 4)), jnp.ones((2, 4))).shape
    (1, 2, 3, 3)
    """
    x, y = _checks.pair(x, y)
    return _empirical_ntk_full(mlp, params, x, y)


def jacobian_ntk(
    f: Callable[[PyTree, Array], Array], params: PyTree, x: Float[Array, "N n0"], y: Float[Array, "M n0"] | None = None
) -> Float[Array, "N M nL nL"]:
    r"""Tangent kernel of any function by its definition, $\sum_p \partial_p f_k(x)\, \partial_p f_{k'}(x')$.

    Args:
        f: A function of parameters and points, with values of shape (N, n_L).
        params: A pytree of P parameters in all.
        x: N points, one per row.
        y: M points; without them the points of x.

    Returns:
        An array (N, M, n_L, n_L). Memory grows with (N + M) n_L P; for networks of this library
        `empirical_ntk_full` gives the same without.

    Raises:
        ValueError: If x or y is not two-dimensional, not finite, or f does not return (N, n_L).

    Source: Guide II.1.3 · JGH §4.

    >>> jacobian_ntk(lambda a, x: x @ a, jnp.ones((2, 1)), jnp.eye(2))[:, :, 0, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    x, y = _checks.pair(x, y)

    def jacobian(points: Array) -> Array:
        outputs = _checks.outputs(jax.eval_shape(f, params, points), points)
        leaves = jax.tree.leaves(jax.jacrev(f)(params, points))
        return jnp.concatenate([leaf.reshape(*outputs.shape, -1) for leaf in leaves], axis=-1)

    J = jacobian(x)
    return jnp.einsum("nkp,mlp->nmkl", J, J if y is None else jacobian(y))


def linearize(f: Callable[[PyTree, Array], Array], params: PyTree) -> Callable[[PyTree, Array], Array]:
    r"""The tangent model $g_\theta(x) = f_{\theta_0}(x) + \partial_\theta f_{\theta_0}(x) \cdot (\theta - \theta_0)$.

    Args:
        f: A function of parameters and points.
        params: $\theta_0$, where f is linearised.

    Returns:
        The function $g(\theta, x)$, linear in $\theta - \theta_0$, with values of the shape of f.

    Source: Guide IV.1.3.

    >>> g = linearize(lambda a, x: a**2 * x, jnp.array(3.0))
    >>> float(g(jnp.array(4.0), jnp.array(1.0)))
    15.0
    """

    def g(theta: PyTree, x: Array) -> Array:
        step = jax.tree.map(jnp.subtract, theta, params)
        value, change = jax.jvp(lambda p: f(p, x), (params,), (step,))
        return value + change

    return g


@jax.jit
def _empirical_ntk(mlp: MLP, params: Params, x: Array, y: Array | None) -> Array:
    terms = (
        jnp.einsum("kni,kmi->nm", delta_x, delta_y) / delta_x.shape[0] * features
        for delta_x, delta_y, features in _layers(mlp, params, x, y)
    )
    return sum(terms, start=jnp.zeros((), x.dtype))


@jax.jit
def _empirical_ntk_full(mlp: MLP, params: Params, x: Array, y: Array | None) -> Array:
    terms = (
        jnp.einsum("kni,lmi->nmkl", delta_x, delta_y) * features[:, :, None, None]
        for delta_x, delta_y, features in _layers(mlp, params, x, y)
    )
    return sum(terms, start=jnp.zeros((), x.dtype))


def _layers(mlp: MLP, params: Params, x: Array, y: Array | None) -> list[tuple[Array, Array, Array]]:
    """For each layer δ(x), δ(x′) and α(x)·α(x′)/n + β²."""
    beta = jnp.asarray(mlp.beta, x.dtype)
    at_x = _passes(mlp, params, x)
    at_y = at_x if y is None else _passes(mlp, params, y)
    return [
        (delta_x, delta_y, alpha_x @ alpha_y.T / alpha_x.shape[1] + beta * beta)
        for delta_x, delta_y, alpha_x, alpha_y in zip(
            at_x.deltas, at_y.deltas, at_x.activations, at_y.activations, strict=True
        )
    ]


def _passes(mlp: MLP, params: Params, x: Array) -> _Passes:
    activations, preactivations = forward(mlp, params, x)
    n_L = preactivations[-1].shape[1]
    deltas = [jnp.broadcast_to(jnp.eye(n_L, dtype=x.dtype)[:, None, :], (n_L, len(x), n_L))]
    for layer in range(mlp.depth - 1, 0, -1):
        W = params[layer].W
        sigma_dot = mlp.activation.derivative(preactivations[layer - 1])
        deltas.append(deltas[-1] @ W / W.shape[1] ** 0.5 * sigma_dot[None])
    return _Passes(activations, tuple(reversed(deltas)))
