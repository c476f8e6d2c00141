"""neural-tangents with its best settings, in its own environment: the newest jax on which all of it runs unchanged."""

import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")  # it would import TensorFlow

import jax
import jax.numpy as jnp
import neural_tangents as nt
import problems
from neural_tangents import stax

Call = Callable[[], Any]


def network(depth: int, activation: Any, beta: float) -> tuple[Callable, Callable, Callable]:
    """A network in the book's parametrisation; widths play no part in its kernel."""
    dense = stax.Dense(1, W_std=1.0, b_std=beta, parameterization="ntk")
    return stax.serial(*[dense, activation] * (depth - 1), dense)


def limit(N: int, depth: int, dtype: str, norms: str) -> Call:
    _, _, kernel = network(depth, stax.Relu(), problems.BETA)
    return partial(jax.jit(lambda x: kernel(x, None, "ntk")), jnp.asarray(problems.points(N, dtype, norms)))


def empirical(N: int, width: int) -> Call:
    """Structured derivatives of one point at a time: the fastest of its implementations."""
    _, outputs, _ = network(problems.DEPTH, stax.Relu(), problems.BETA)
    structured = nt.NtkImplementation.STRUCTURED_DERIVATIVES
    kernel = jax.jit(nt.empirical_ntk_fn(outputs, vmap_axes=0, implementation=structured))
    return partial(kernel, jnp.asarray(problems.points(N)), None, as_stax(problems.parameters(width)))


def as_stax(parameters: list) -> list:
    """Weights transposed, biases as rows, and nothing for the activations between."""
    dense = [(jnp.asarray(W).T, jnp.asarray(b)[None]) for W, b in parameters]
    return [layer for pair in zip(dense, [()] * len(dense), strict=True) for layer in pair][:-1]


def flow(N: int) -> Call:
    _, _, kernel = network(problems.DEPTH, stax.Relu(), problems.BETA)
    K = kernel(jnp.asarray(problems.points(N, "float64")), None, "ntk")
    t, y = jnp.asarray(problems.times()), jnp.asarray(problems.targets(N))

    def at_all_times() -> jax.Array:
        return nt.predict.gradient_descent_mse(K, y)(t, jnp.zeros_like(y))

    return at_all_times
