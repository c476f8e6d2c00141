r"""Fully connected networks in the NTK parametrisation.

$\tilde\alpha^{(\ell+1)} = \frac{1}{\sqrt{n_\ell}} W^{(\ell)} \alpha^{(\ell)} + \beta b^{(\ell)}$ and
$\alpha^{(\ell)} = \sigma(\tilde\alpha^{(\ell)})$, with all entries of $W^{(\ell)}$ and $b^{(\ell)}$ drawn from N(0, 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ntklib import _checks
from ntklib.activations import Activation, relu


@dataclass(frozen=True)
class MLP:
    r"""What the limiting NTK depends on: depth L, activation $\sigma$ and $\beta$; widths belong to `init`.

    Args:
        depth: L, the number of affine maps; depth 1 has no hidden layer.
        activation: $\sigma$, applied after every affine map but the last.
        beta: $\beta \ge 0$, the factor of the biases; a leaf of the pytree, so that `vmap` and `grad` reach it.

    Raises:
        ValueError: If depth is not an integer from 1 on, or beta is negative or not finite.
        TypeError: If activation is not an `Activation`.

    Source: Guide I.2.2 and I.2.9 · JGH §2.

    >>> MLP(depth=4).beta
    0.1
    """

    depth: int
    activation: Activation = relu
    beta: float | Array = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        _checks.depth(self.depth)
        _checks.non_negative(self.beta, "beta")
        if not isinstance(self.activation, Activation):
            raise TypeError(
                f"activation must be an ntklib.Activation: got {type(self.activation).__name__}. "
                "Write ntklib.relu, or Activation(name, fn) for one of your own."
            )


def _unflatten(static: tuple[int, Activation], leaves: tuple[Any]) -> MLP:
    """An MLP without its checks: jax also builds pytrees of gradients, axes and placeholders."""
    mlp = object.__new__(MLP)
    for name, value in zip(("depth", "activation", "beta"), (*static, *leaves), strict=True):
        object.__setattr__(mlp, name, value)
    return mlp


jax.tree_util.register_pytree_node(MLP, lambda mlp: ((mlp.beta,), (mlp.depth, mlp.activation)), _unflatten)


class Layer(NamedTuple):
    """Weights and biases of one affine map."""

    W: Float[Array, "n_out n_in"]
    b: Float[Array, " n_out"]


Params = tuple[Layer, ...]


class Forward(NamedTuple):
    r"""A forward pass: $\alpha^{(0)}, …, \alpha^{(L-1)}$ and $\tilde\alpha^{(1)}, …, \tilde\alpha^{(L)}$."""

    activations: tuple[Float[Array, "N n"], ...]
    preactivations: tuple[Float[Array, "N n"], ...]


def init(mlp: MLP, key: Key[Array, ""], widths: Sequence[int], dtype: jnp.dtype | type | None = None) -> Params:
    """Parameters of a network: independent N(0, 1) entries, the same draws in float32 and float64.

    Args:
        mlp: The network.
        key: A key of `jax.random.key`.
        widths: n_0, …, n_L, that is depth + 1 numbers.
        dtype: Of the parameters; the default is jax's.

    Returns:
        One `Layer(W, b)` per affine map, W of shape (n_{l+1}, n_l) and b of shape (n_{l+1},).

    Raises:
        ValueError: If widths do not fit the depth.

    Source: Guide I.2.2 · JGH §2.

    >>> [layer.W.shape for layer in init(MLP(depth=2), jax.random.key(0), widths=(3, 5, 1))]
    [(5, 3), (1, 5)]
    """
    numbers = _checks.widths(widths, mlp.depth)
    return _init(key, numbers, jnp.dtype(dtype or jnp.zeros(()).dtype))


@partial(jax.jit, static_argnames=("widths", "dtype"))
def _init(key: Array, widths: tuple[int, ...], dtype: jnp.dtype) -> Params:
    keys = jax.random.split(key, (len(widths) - 1, 2))

    def normal(key: Array, *shape: int) -> Array:
        return jax.random.normal(key, shape, jnp.float32).astype(dtype)

    return tuple(
        Layer(normal(key_W, n_out, n_in), normal(key_b, n_out))
        for (key_W, key_b), n_in, n_out in zip(keys, widths[:-1], widths[1:], strict=True)
    )


def apply(mlp: MLP, params: Params, x: Float[Array, "N n0"]) -> Float[Array, "N nL"]:
    r"""The network function $f_\theta(x) = \tilde\alpha^{(L)}(x; \theta)$.

    Args:
        mlp: The network.
        params: From `init`, or trained.
        x: N points of dimension n_0, one per row.

    Returns:
        The outputs, (N, n_L), also for n_L = 1.

    Raises:
        ValueError: If x is not (N, n_0) or params do not fit.
        TypeError: If x and params have different dtypes.

    Source: Guide I.2.9 · JGH §2.

    >>> mlp = MLP(depth=1, beta=0.0)
    >>> apply(mlp, (Layer(jnp.ones((1, 4)), jnp.ones(1)),), jnp.ones((1, 4))).tolist()
    [[2.0]]
    """
    return forward(mlp, params, x).preactivations[-1]


def forward(mlp: MLP, params: Params, x: Float[Array, "N n0"]) -> Forward:
    r"""Activations $\alpha^{(0)}, …, \alpha^{(L-1)}$ and preactivations $\tilde\alpha^{(1)}, …, \tilde\alpha^{(L)}$.

    Args:
        mlp: The network.
        params: From `init`, or trained.
        x: N points of dimension n_0, one per row.

    Returns:
        `Forward(activations, preactivations)`, L arrays each, of shape (N, n_l).

    Raises:
        ValueError: If x is not (N, n_0) or params do not fit.
        TypeError: If x and params have different dtypes.

    Source: Guide I.2.9 · JGH §2.

    >>> params = init(MLP(depth=2), jax.random.key(0), widths=(3, 5, 1))
    >>> [a.shape for a in forward(MLP(depth=2), params, jnp.ones((7, 3))).activations]
    [(7, 3), (7, 5)]
    """
    x = _checks.rows(x, "x")
    _checks.params(params, mlp.depth, x)
    return _forward(mlp, params, x)


@jax.jit
def _forward(mlp: MLP, params: Params, x: Array) -> Forward:
    beta = jnp.asarray(mlp.beta, x.dtype)
    activations, preactivations = [x], []
    for layer, (W, b) in enumerate(params):
        alpha = activations[layer]
        preactivations.append(alpha @ W.T / alpha.shape[1] ** 0.5 + (beta * b)[None, :])
        if layer < mlp.depth - 1:
            activations.append(mlp.activation(preactivations[-1]))
    return Forward(tuple(activations), tuple(preactivations))
