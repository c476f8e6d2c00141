"""A network and its tangent, trained from the same start, by width: functions and parameters (guide IV.1).

Two hidden layers of equal width, erf and ReLU, β = 0.1, NTK parametrisation; 60 steps of full-batch gradient descent
at learning rate 1 on f*(γ) = sin 2γ + cos γ at eight points of the circle of radius 2. The parameters of the tangent
follow from its values: its derivatives never change, so that θ_g(t) = θ(0) - J^T Σ η d_s / N, with one backward pass.
Every array of the result is (initialisations, times), named activation_quantity_width. Every finished run is kept in
.state/, so that a stopped experiment resumes.

    make experiments
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from by_width import LEARNING_RATE, NETWORKS, OUTPUTS, Run, by_kernel, descent, perform, rms, start
from jax.flatten_util import ravel_pytree

import ntklib as nk

RADIUS = 2.0
ANGLES = (-2.7, -2.0, -1.3, -0.5, 0.2, 0.8, 1.7, 2.5)
NEW_INPUTS = 24
TIMES = (1, 5, 20, 60)
INITIALISATIONS = {16: 32, 32: 32, 64: 24, 128: 24, 256: 16, 512: 16, 1024: 12, 2048: 8}

QUANTITIES = {
    "function_error": "root mean square over the inputs of f_t - g_t",
    "function_error_new": "the same at the new inputs",
    "cost_error": "|C(f_t) - C(g_t)|",
    "parameter_error": "Euclidean length of theta_f(t) - theta_g(t)",
    "parameter_change": "Euclidean length of theta_f(t) - theta(0)",
    "parameter_change_linear": "Euclidean length of theta_g(t) - theta(0)",
    "parameter_relative": "Euclidean length of theta_f(t) - theta(0), divided by that of theta(0)",
    "parameter_max": "largest absolute entry of theta_f(t) - theta(0)",
    "parameter_typical": "root mean square of the entries of theta_f(t) - theta(0)",
    "smallest_eigenvalue": "smallest eigenvalue of Theta(t) on the inputs, divided by N",
    "remaining": "root mean square over the inputs of f_t - f*",
    "remaining_linear": "root mean square over the inputs of g_t - f*",
}


def inputs() -> tuple[jax.Array, jax.Array, jax.Array]:
    """The inputs, their targets and the new inputs."""
    angles = jnp.array(ANGLES)
    y = jnp.sin(2 * angles) + jnp.cos(angles)
    return RADIUS * nk.circle(angles), y[:, None], RADIUS * nk.circle(NEW_INPUTS)


def flat(params: nk.Params) -> jax.Array:
    return ravel_pytree(params)[0]


def tangent(run: Run, theta_0: nk.Params, x: jax.Array, y: jax.Array, new: jax.Array) -> dict[int, tuple]:
    """The tangent at each of the times: values at the inputs and at the new ones, change of its parameters."""
    net, f, everything = NETWORKS[run.activation], OUTPUTS[run.activation], jnp.concatenate([x, new])
    kernel = nk.empirical_ntk(net, theta_0, everything, x)
    g = by_kernel(kernel, f(theta_0, everything), y, TIMES[-1])
    before = jnp.concatenate([f(theta_0, x)[None], g[:-1, : len(x)]])  # each step
    pushed = -LEARNING_RATE * jnp.cumsum(before - y, axis=0) / len(x)
    _, backward = jax.vjp(lambda params: f(params, x), theta_0)
    return {t: (g[t - 1, : len(x)], g[t - 1, len(x) :], flat(backward(pushed[t - 1])[0])) for t in TIMES}


def train(run: Run, progress: Callable[[float], object]) -> Iterator[dict]:
    """Train one network and its tangent, and compare them at each of the times."""
    net, f, (x, y, new) = NETWORKS[run.activation], OUTPUTS[run.activation], inputs()
    theta_0 = start(run, 2)
    linear = tangent(run, theta_0, x, y, new)
    for t, params in descent(run, theta_0, x, y, TIMES, progress):
        g, g_new, change_g = linear[t]
        f_t, change = f(params, x), flat(params) - flat(theta_0)
        yield {
            "function_error": rms(f_t - g),
            "function_error_new": rms(f(params, new) - g_new),
            "cost_error": jnp.abs(nk.square_cost(f_t, y) - nk.square_cost(g, y)),
            "parameter_error": jnp.linalg.norm(change - change_g),
            "parameter_change": jnp.linalg.norm(change),
            "parameter_change_linear": jnp.linalg.norm(change_g),
            "parameter_relative": jnp.linalg.norm(change) / jnp.linalg.norm(flat(theta_0)),
            "parameter_max": jnp.abs(change).max(),
            "parameter_typical": rms(change),
            "smallest_eigenvalue": jnp.linalg.eigvalsh(nk.empirical_ntk(net, params, x))[0] / len(x),
            "remaining": rms(f_t - y),
            "remaining_linear": rms(g - y),
        }


PARAMETERS = {
    "target": "sin 2γ + cos γ",
    "radius": RADIUS,
    "angles": ANGLES,
    "new_inputs": NEW_INPUTS,
    "times": TIMES,
    "quantities": QUANTITIES,
}

if __name__ == "__main__":
    perform("linearised_by_width", INITIALISATIONS, train, PARAMETERS)
