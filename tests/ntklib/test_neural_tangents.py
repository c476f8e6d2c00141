"""The kernels of neural-tangents, frozen in float64; benchmarks/reference_numbers.py makes them anew."""

import ast
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, KERNEL, assert_close

import ntklib as nk

FROZEN = json.loads(Path(__file__).with_name("neural_tangents.json").read_text(encoding="utf-8"))
POINTS = jnp.asarray(FROZEN["points"], DTYPE)
"""These, the weights and beta are exact in float32 as well."""
N = len(FROZEN["points"])


def activation(text: str) -> nk.Activation:
    """The activation of that name, or the family of that name at its argument."""
    name, _, argument = text.partition("(")
    found = getattr(nk, name)
    return found(ast.literal_eval(f"({argument}")) if argument else found


def symmetric(upper: list[float]) -> np.ndarray:
    matrix = np.zeros((N, N))
    matrix[np.triu_indices(N)] = upper
    return matrix + np.triu(matrix, 1).T


@pytest.mark.parametrize("name", FROZEN["infinite"])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_limiting_kernels(name, beta):
    rows = [row for row in FROZEN["infinite"][name] if row["beta"] == beta]
    deepest = nk.MLP(rows[-1]["depth"], activation(name), beta)
    by_layer = nk.kernels_by_layer(deepest, POINTS)
    # Both round: its closed forms agree with quadrature to 1e-14, less than KERNEL. A square of the variances doubles
    # their relative error in each of 5 layers.
    error = KERNEL * (32 if "polynomial" in name else 1) + (FROZEN["tanh_error"] if name == "tanh" else 0)
    for row in rows:
        layer = row["depth"] - 1
        for actual, frozen in ((by_layer.sigma[layer], row["sigma"]), (by_layer.ntk[layer], row["ntk"])):
            expected = symmetric(frozen)
            scale = np.sqrt(np.diag(expected)[:, None] * np.diag(expected))
            assert_close(actual, expected, error, scale)
    assert_close(nk.ntk(deepest, POINTS), expected, error, scale)


def test_the_tangent_kernel_of_given_weights():
    frozen = FROZEN["finite"]
    params = tuple(nk.Layer(jnp.asarray(p["W"], DTYPE), jnp.asarray(p["b"], DTYPE)) for p in frozen["params"])
    mlp = nk.MLP(len(params), activation(frozen["activation"]), frozen["beta"])
    expected = np.array(frozen["ntk"])
    assert expected.shape == (N, N, 2, 2)
    # A few dozen roundings of products of 3 or 4 terms.
    assert_close(nk.empirical_ntk_full(mlp, params, POINTS), expected, KERNEL)
    assert_close(nk.empirical_ntk(mlp, params, POINTS), np.trace(expected, axis1=2, axis2=3) / 2, KERNEL)
