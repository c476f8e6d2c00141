"""Kernels of neural-tangents, kept as numbers for the tests of ntklib: `make bench` sets up its environment first.

JAX_PLATFORMS=cpu .state/neural-tangents/bin/python benchmarks/reference_numbers.py
"""

import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from peer_neural_tangents import as_stax, network, nt, stax

RESULT = Path(__file__).parents[1] / "tests" / "ntklib" / "neural_tangents.json"
DEPTHS, BETAS, NODES = (2, 3, 6), (0.0, 0.5), 200
POINTS = [[0.5, 0.25, -1], [-0.25, 1, 0.125], [0.5, 0.25, -1], [0.75, 0.375, -1.5], [0.25, -1, -0.125], [0, 0.25, 0.25]]
"""Unequal norms, a duplicate, collinear points and antipodes; exact in float32, as all inputs here."""
ACTIVATIONS = {
    "relu": stax.Relu(),
    "leaky_relu(0.25)": stax.LeakyRelu(0.25),
    "erf": stax.Erf(),
    "gelu": stax.Gelu(),
    "sine": stax.Sin(),
    "identity": stax.Identity(),
    "polynomial((0.5, -1.0, 0.25))": stax.Polynomial((0.5, -1.0, 0.25)),
    "tanh": stax.ElementwiseNumerical(jnp.tanh, NODES),
}


def pairs(gram: jax.Array) -> list[float]:
    """The upper triangle, row by row."""
    return np.asarray(gram)[np.triu_indices(len(POINTS))].tolist()


def infinite(activation: Any, depth: int, beta: float) -> dict[str, Any]:
    kernels = network(depth, activation, beta)[2](jnp.asarray(POINTS), None, ("nngp", "ntk"))
    return {"depth": depth, "beta": beta, "sigma": pairs(kernels.nngp), "ntk": pairs(kernels.ntk)}


def halved(rows: list[dict[str, Any]]) -> float:
    """How far half the nodes are off: an upper bound of the error of all."""
    activation = stax.ElementwiseNumerical(jnp.tanh, NODES // 2)
    other = [infinite(activation, row["depth"], row["beta"]) for row in rows]
    return max(
        float(np.abs(np.array(row[k]) - again[k]).max() / np.max(row[k]))
        for row, again in zip(rows, other, strict=True)
        for k in ("sigma", "ntk")
    )


def finite() -> dict[str, Any]:
    """A ReLU network of width 4 with two outputs, whose weights are multiples of 1/16."""
    random = np.random.default_rng(0)
    widths, beta = (3, 4, 4, 2), 0.5
    parameters = [
        (random.integers(-24, 25, (n, m)) / 16, random.integers(-24, 25, n) / 16)
        for m, n in zip(widths[:-1], widths[1:], strict=True)
    ]
    _, outputs, _ = network(len(parameters), stax.Relu(), beta)
    kernel = nt.empirical_ntk_fn(outputs, trace_axes=(), vmap_axes=0)
    theta = kernel(jnp.asarray(POINTS), None, as_stax(parameters))
    layers = [{"W": W.tolist(), "b": b.tolist()} for W, b in parameters]
    return {"activation": "relu", "beta": beta, "params": layers, "ntk": np.asarray(theta).tolist()}


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    packages = ("neural-tangents", "jax", "jaxlib", "numpy", "scipy")
    rows = {name: [infinite(a, depth, beta) for depth in DEPTHS for beta in BETAS] for name, a in ACTIVATIONS.items()}
    content = {
        "made_by": [line.strip() for line in (__doc__ or "").splitlines() if "reference_numbers.py" in line][0],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "parametrisation": "W_std = 1, b_std = beta, parameterization = 'ntk'; float64",
        "accuracy": f"closed forms; tanh by {NODES} x {NODES} Gauss-Hermite nodes, half as many differ by tanh_error",
        "tanh_error": float(f"{halved(rows['tanh']):.1e}"),
        "points": POINTS,
        "infinite": rows,
        "finite": finite(),
    }
    text = "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()) + "\n}\n"
    RESULT.write_text(text)
    print(f"Wrote {RESULT.name}, {len(text) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
