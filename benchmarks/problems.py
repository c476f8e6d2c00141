"""What every contender is given: the same numbers in every environment, drawn by numpy."""

import numpy as np

DEPTH, BETA, DIMENSION = 4, 0.1, 784
"""Of the networks of given weights and of the flow; infinite kernels come at several depths."""


def points(N: int, dtype: str = "float32", norms: str = "unequal") -> np.ndarray:
    """N normal rows, of unequal norms or all on the sphere."""
    random = np.random.default_rng(N)
    rows = random.standard_normal((N, DIMENSION))
    rows *= DIMENSION**0.5 / np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows if norms == "equal" else rows * np.exp(0.3 * random.standard_normal((N, 1)))).astype(dtype)


def parameters(width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """N(0, 1) weights and biases of a network with one output."""
    random = np.random.default_rng(width)
    widths = (DIMENSION, *(width,) * (DEPTH - 1), 1)
    return [
        (random.standard_normal((n, m), np.float32), random.standard_normal(n, np.float32))
        for m, n in zip(widths[:-1], widths[1:], strict=True)
    ]


def times() -> np.ndarray:
    """When the flow is asked for: 100 times over four decades."""
    return np.logspace(-1, 3, 100)


def targets(N: int) -> np.ndarray:
    """One target for each point."""
    return np.random.default_rng(N + 1).standard_normal((N, 1))
