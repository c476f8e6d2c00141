"""What training changes in a network, by width: weights, activations, tangent kernel, function (JGH §4.2, A.2, A.3).

Two hidden layers of equal width, erf and ReLU, β = 0.1, NTK parametrisation; 100 steps of full-batch gradient descent
at learning rate 1 on f*(x) = x_1 x_2 at 12 N(0, 1) inputs in dimension 4, the same for all networks. Every array of the
result is (initialisations, times), named activation_quantity_width; `QUANTITIES` says what each one is. Every finished
run is kept in .state/, so that a stopped experiment resumes.

    make experiments
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from by_width import BETA, DEPTH, NETWORKS, OUTPUTS, Run, rms, runs, save
from resumable import records

import ntklib as nk

EXPERIMENT = "training_by_width"
LEARNING_RATE = 1.0
DIMENSION, INPUTS, NEW_INPUTS = 4, 12, 4
TIMES = (1, 5, 20, 100)
INITIALISATIONS = {64: 24, 128: 24, 256: 24, 512: 16, 1024: 12, 2048: 8}

QUANTITIES = {
    "weights_op_l": "operator norm of W(t) - W(0), divided by the root of its number of columns; layers l = 0, 1, 2",
    "weights_frobenius_l": "Frobenius norm of W(t) - W(0); layers l = 0, 1, 2",
    "weights_max_l": "largest entry of |W(t) - W(0)|; layers l = 0, 1, 2",
    "weights_start_l": "operator norm of W(0), divided by the root of its number of columns; layers l = 0, 1, 2",
    "hidden_norm_l": "root of the mean over inputs of |h_t - h_0|_2^2, h the activations of hidden layer l = 1, 2",
    "hidden_relative_l": "the same, divided by the root of the mean of |h_0|_2^2",
    "hidden_max_l": "largest |h_t - h_0| over inputs and neurons",
    "slope_change_l": "mean of |s_t - s_0| over inputs and neurons, s the slopes of the activation function",
    "inner_l": "root mean square over pairs of inputs of <h_t, h_t'> - <h_0, h_0'>, unnormalised",
    "inner_normalised_l": "the same, divided by the width",
    "kernel_change": "|Theta(t) - Theta(0)|_* / |Theta(0)|_*, |.|_* the largest absolute eigenvalue / N",
    "kernel_start": "|Theta(0) - Theta_inf|_* / |Theta_inf|_*",
    "linear_error": "root mean square over the inputs of f_t - f_t^lin, both by the same gradient descent",
    "linear_error_new": "the same at the new inputs",
    "limit_error": "root mean square of f_t minus kernel gradient descent with Theta_inf from the same f_0",
    "remaining": "root mean square over the inputs of f_t - f*",
}


def inputs() -> jax.Array:
    """The inputs, then the new ones."""
    return jax.random.normal(jax.random.key(3), (INPUTS + NEW_INPUTS, DIMENSION))


def targets(x: jax.Array) -> jax.Array:
    return x[:, :1] * x[:, 1:2]


def size(gram: jax.Array) -> jax.Array:
    """The largest absolute eigenvalue over N."""
    return jnp.abs(jnp.linalg.eigvalsh(gram)).max() / len(gram)


@jax.jit
def operator_norm(matrix: jax.Array) -> jax.Array:
    """By subspace iteration from 24 vectors, which finds the leading of well separated singular values."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    if tall.shape[1] <= 24:
        return jnp.sqrt(jnp.linalg.eigvalsh(tall.T @ tall)[-1])
    basis = jax.random.normal(jax.random.key(0), (tall.shape[1], 24), tall.dtype)
    for _ in range(40):
        basis, _ = jnp.linalg.qr(tall.T @ (tall @ basis))
    return jnp.sqrt(jnp.linalg.eigvalsh((tall @ basis).T @ (tall @ basis))[-1])


@jax.jit
def by_kernel(kernel: jax.Array, f_0: jax.Array, y: jax.Array) -> jax.Array:
    """Kernel gradient descent from f_0 with a kernel (all, data): values at all points after each step."""

    def step(f: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        f = f - LEARNING_RATE * kernel @ (f[:INPUTS] - y) / INPUTS
        return f, f

    return jax.lax.scan(step, f_0, length=TIMES[-1])[1]


def measured(net: nk.MLP, start: nk.Params, params: nk.Params, x: jax.Array) -> dict[str, jax.Array]:
    """How far weights and activations have moved."""
    found = {}
    for layer, (old, new) in enumerate(zip(start, params, strict=True)):
        change, columns = new.W - old.W, old.W.shape[1]
        found[f"weights_op_{layer}"] = operator_norm(change) / columns**0.5
        found[f"weights_frobenius_{layer}"] = jnp.sqrt((change**2).sum())
        found[f"weights_max_{layer}"] = jnp.abs(change).max()
    before, after = nk.forward(net, start, x), nk.forward(net, params, x)
    for layer in (1, 2):
        h_0, h = before.activations[layer], after.activations[layer]
        slopes = (net.activation.derivative(passes.preactivations[layer - 1]) for passes in (before, after))
        found[f"hidden_norm_{layer}"] = jnp.sqrt(((h - h_0) ** 2).sum() / INPUTS)
        found[f"hidden_relative_{layer}"] = jnp.sqrt(((h - h_0) ** 2).sum() / (h_0**2).sum())
        found[f"hidden_max_{layer}"] = jnp.abs(h - h_0).max()
        found[f"slope_change_{layer}"] = jnp.abs(next(slopes) - next(slopes)).mean()
        found[f"inner_{layer}"] = rms(h @ h.T - h_0 @ h_0.T)
        found[f"inner_normalised_{layer}"] = found[f"inner_{layer}"] / h.shape[1]
    return found


def train(run: Run, progress: Callable[[float], object]) -> dict:
    """Train one network and record what has changed at each of the times."""
    net, everything = NETWORKS[run.activation], inputs()
    x, y = everything[:INPUTS], targets(everything[:INPUTS])
    start = nk.init(net, jax.random.key(run.seed), (DIMENSION, run.width, run.width, 1))
    kernel_0, limit = nk.empirical_ntk(net, start, everything, x), nk.ntk(net, everything, x)
    f_0 = nk.apply(net, start, everything)
    linear, infinite = by_kernel(kernel_0, f_0, y), by_kernel(limit, f_0, y)
    theta_0, theta = kernel_0[:INPUTS], limit[:INPUTS]
    params, done, rows = start, 0, []
    for t in TIMES:
        params, _ = nk.train(OUTPUTS[run.activation], params, x, y, steps=t - done, learning_rate=LEARNING_RATE)
        progress((t - done) / TIMES[-1])
        done, row = t, measured(net, start, params, x)
        f = nk.apply(net, params, everything)
        row["kernel_change"] = size(nk.empirical_ntk(net, params, x) - theta_0) / size(theta_0)
        row["kernel_start"] = size(theta_0 - theta) / size(theta)
        row["linear_error"] = rms((f - linear[t - 1])[:INPUTS])
        row["linear_error_new"] = rms((f - linear[t - 1])[INPUTS:])
        row["limit_error"] = rms((f - infinite[t - 1])[:INPUTS])
        row["remaining"] = rms(f[:INPUTS] - y)
        for layer, (W, _b) in enumerate(start):
            if layer != 1:  # the square matrix has no gap below its norm: it would need its own computation
                row[f"weights_start_{layer}"] = operator_norm(W) / W.shape[1] ** 0.5
        rows.append({name: float(value) for name, value in row.items()})
    return {"values": rows}


PARAMETERS = {
    "depth": DEPTH,
    "activations": list(NETWORKS),
    "beta": BETA,
    "target": "x_1 x_2",
    "dimension": DIMENSION,
    "inputs": INPUTS,
    "new_inputs": NEW_INPUTS,
    "learning_rate": LEARNING_RATE,
    "times": TIMES,
    "widths": list(INITIALISATIONS),
    "initialisations": list(INITIALISATIONS.values()),
    "precision": "float64",
    "seeds": "10000 * position of the activation + width + initialisation; of the inputs: 3",
    "quantities": QUANTITIES,
}


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    save(EXPERIMENT, records(runs(EXPERIMENT, INITIALISATIONS), train), INITIALISATIONS, PARAMETERS)


if __name__ == "__main__":
    main()
