"""What training changes in a network, by width: weights, activations, tangent kernel, function (JGH §4.2, A.2, A.3).

Two hidden layers of equal width, erf and ReLU, β = 0.1, NTK parametrisation; 100 steps of full-batch gradient descent
at learning rate 1 on f*(x) = x_1 x_2 at 12 N(0, 1) inputs in dimension 4, the same for all networks. Every array of the
result is (initialisations, times), named activation_quantity_width; `QUANTITIES` says what each one is. Every finished
run is kept in .state/, so that a stopped experiment resumes.

    make experiments
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from by_width import NETWORKS, Run, by_kernel, descent, perform, rms, start

import ntklib as nk

DIMENSION, INPUTS, NEW_INPUTS, SEED_OF_INPUTS = 4, 12, 4, 3
TIMES = (1, 5, 20, 100)
INITIALISATIONS = {64: 24, 128: 24, 256: 24, 512: 16, 1024: 12, 2048: 8}

QUANTITIES = {
    "weights_op_l": "operator norm of W(t) - W(0), divided by the root of its number of columns; layers l = 0, 1, 2",
    "weights_frobenius_l": "Frobenius norm of W(t) - W(0); layers l = 0, 1, 2",
    "weights_max_l": "largest entry of |W(t) - W(0)|; layers l = 0, 1, 2",
    "weights_start_l": "operator norm of W(0), divided by the root of its number of columns; layers l = 0, 2",
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
    return jax.random.normal(jax.random.key(SEED_OF_INPUTS), (INPUTS + NEW_INPUTS, DIMENSION))


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


def measured(net: nk.MLP, theta_0: nk.Params, params: nk.Params, x: jax.Array) -> dict[str, jax.Array]:
    """How far weights and activations have moved."""
    found = {}
    for layer, (old, new) in enumerate(zip(theta_0, params, strict=True)):
        change, columns = new.W - old.W, old.W.shape[1]
        found[f"weights_op_{layer}"] = operator_norm(change) / columns**0.5
        found[f"weights_frobenius_{layer}"] = jnp.sqrt((change**2).sum())
        found[f"weights_max_{layer}"] = jnp.abs(change).max()
    before, after = nk.forward(net, theta_0, x), nk.forward(net, params, x)
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


def train(run: Run, progress: Callable[[float], object]) -> Iterator[dict]:
    """Train one network and say what has changed at each of the times."""
    net, everything = NETWORKS[run.activation], inputs()
    x, y = everything[:INPUTS], targets(everything[:INPUTS])
    theta_0 = start(run, DIMENSION)
    kernel_0, limit = nk.empirical_ntk(net, theta_0, everything, x), nk.ntk(net, everything, x)
    f_0 = nk.apply(net, theta_0, everything)
    linear, infinite = (by_kernel(kernel, f_0, y, TIMES[-1]) for kernel in (kernel_0, limit))
    gram_0, gram = kernel_0[:INPUTS], limit[:INPUTS]
    for t, params in descent(run, theta_0, x, y, TIMES, progress):
        row = measured(net, theta_0, params, x)
        f = nk.apply(net, params, everything)
        row["kernel_change"] = size(nk.empirical_ntk(net, params, x) - gram_0) / size(gram_0)
        row["kernel_start"] = size(gram_0 - gram) / size(gram)
        row["linear_error"] = rms((f - linear[t - 1])[:INPUTS])
        row["linear_error_new"] = rms((f - linear[t - 1])[INPUTS:])
        row["limit_error"] = rms((f - infinite[t - 1])[:INPUTS])
        row["remaining"] = rms(f[:INPUTS] - y)
        for layer, (W, _b) in enumerate(theta_0):
            if layer != 1:  # the square matrix has no gap below its norm: it would need its own computation
                row[f"weights_start_{layer}"] = operator_norm(W) / W.shape[1] ** 0.5
        yield row


PARAMETERS = {
    "target": "x_1 x_2",
    "dimension": DIMENSION,
    "inputs": INPUTS,
    "new_inputs": NEW_INPUTS,
    "seed_of_inputs": SEED_OF_INPUTS,
    "times": TIMES,
    "quantities": QUANTITIES,
}

if __name__ == "__main__":
    perform("training_by_width", INITIALISATIONS, train, PARAMETERS)
