"""What the tests share: the precision of the run, random points, and how a refusal is checked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import ntklib as nk

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
KERNEL = 2e-6 if DTYPE == jnp.float32 else 1e-13
"""What limiting kernels promise, relative to their scale."""

PUBLIC_FUNCTIONS = {name: getattr(nk, name) for name in nk.__all__ if type(getattr(nk, name)) is type(nk.init)}


def points(n: int, dimension: int, seed: int = 0) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, dimension)), DTYPE)


def parameters(*widths: int, seed: int = 0, copies: tuple[int, ...] = ()) -> nk.Params:
    """N(0, 1) parameters, without the compilations of `init`; several networks stacked if asked for."""
    normal = np.random.default_rng(seed).normal
    return tuple(
        nk.Layer(jnp.asarray(normal(size=(*copies, n, m)), DTYPE), jnp.asarray(normal(size=(*copies, n)), DTYPE))
        for m, n in zip(widths[:-1], widths[1:], strict=True)
    )


def assert_close(actual, expected, error: float, scale=None) -> None:
    """|actual − expected| ≤ error × scale, entry by entry; the scale is the largest expected entry if not given."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    assert actual.shape == expected.shape
    scale = np.abs(expected).max() if scale is None else np.asarray(scale, float)
    if not actual.size:
        return
    excess = np.abs(actual - expected) / (error * scale)
    assert excess.max() <= 1, (
        f"{excess.max():.3g} times the tolerance, at {np.unravel_index(excess.argmax(), excess.shape)}"
    )


@contextmanager
def untyped() -> Iterator[None]:
    """Calls as a reader makes them, without the type checks of the tests."""
    was_disabled = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", was_disabled)


@contextmanager
def refuses(error: type[Exception], argument: str, rule: str, advice: str) -> Iterator[None]:
    """The library's own sentence, “argument must rule: got …. advice”."""
    with pytest.raises(error) as caught, untyped():
        yield
    message = str(caught.value)
    assert re.fullmatch(rf"{argument} must .*{rule}.*: got [^:]+.*\. .*{advice}.*", message), message
    assert "Array(" not in message and "[[" not in message, "a message prints an array"
