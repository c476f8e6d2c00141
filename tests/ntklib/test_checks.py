"""The sentences of the errors, and where they hold their tongue."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, refuses

from ntklib import _checks


def test_points_may_be_lists_and_numpy_arrays():
    for value in ([[1.0, 2.0]], np.ones((1, 2)), jnp.ones((1, 2))):
        assert _checks.rows(value, "x").shape == (1, 2)


def test_points_are_given_back_unchanged():
    x = jnp.ones((2, 3), DTYPE)
    assert _checks.rows(x, "x") is x
    assert _checks.pair(x, None) == (x, None)


@pytest.mark.parametrize("value", [jnp.ones(()), jnp.ones((2, 2, 2))])
def test_the_rank_of_points(value):
    with refuses(ValueError, "z", r"shape \(number of points, columns\)", "Write one row per point"):
        _checks.rows(value, "z", "columns")


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_points(shape):
    with refuses(ValueError, "x", "hold at least one point of at least one dimension", "Write one row per point"):
        _checks.rows(jnp.ones(shape), "x")


@pytest.mark.parametrize("dtype", [int, bool, complex])
def test_points_of_other_types(dtype):
    with refuses(TypeError, "x", "hold floating-point numbers", r"Write jnp.asarray\(x, dtype=float\)"):
        _checks.rows(jnp.ones((1, 2), dtype), "x")


@pytest.mark.parametrize(("bad", "count"), [([[np.nan, 1]], 1), ([[np.inf, -np.inf]], 2)])
def test_points_that_are_not_finite_are_counted_not_shown(bad, count):
    bad = jnp.asarray(bad, DTYPE)
    with refuses(ValueError, "x", "finite", "Remove them or replace them first"):
        _checks.rows(bad, "x")
    with pytest.raises(ValueError, match=f"got {count} NaN or infinite entries"):
        _checks.finite(bad, "x")


def test_values_are_not_looked_at_while_tracing():
    def checked(x):
        assert not _checks.is_concrete(x)
        _checks.non_negative(x[0, 0], "beta")
        return _checks.rows(x, "x")

    assert jnp.isnan(jax.jit(checked)(jnp.full((1, 1), jnp.nan, DTYPE))).all()
    assert jnp.isinf(jax.vmap(checked)(jnp.full((1, 1, 1), -jnp.inf, DTYPE))).all()
    jax.grad(lambda x: checked(x).sum())(jnp.full((1, 1), -1, DTYPE))


def test_constants_are_looked_at_also_while_tracing():
    bad = jnp.asarray([[jnp.nan]], DTYPE)
    with refuses(ValueError, "x", "finite", "Remove them"):
        jax.jit(lambda y: y + _checks.rows(bad, "x"))(bad)


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.int32(1)])
def test_counts(value):
    _checks.count(value, "steps")
    _checks.depth(value)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.array([0.0, 2.0]), jnp.array(1.5), jnp.array(2)])
def test_non_negative_numbers(value):
    _checks.non_negative(value, "beta")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (-0.5, "-0.5"),
        (jnp.array(-0.5), "-0.5"),
        (np.array([-0.5, 1]), r"an array of shape \(2,\)"),
        ("0.1", "'0.1'"),
        ([0.1], r"\[0.1\]"),
        (1j, "1j"),
        (True, "True"),
    ],
)
def test_what_is_said_of_a_number_that_is_none(value, got):
    with pytest.raises(ValueError, match=f"beta must be a finite number from 0 on: got {got}. Write"):
        _checks.non_negative(value, "beta")


def test_widths_are_plain_integers():
    assert _checks.widths([2, np.int64(5), 1], 2) == (2, 5, 1)
    assert all(type(n) is int for n in _checks.widths(np.array([2, 5, 1]), 2))


def test_two_dtypes():
    with refuses(TypeError, "x and y", "one dtype", r"Write y.astype\(x.dtype\)"):
        _checks.same_dtype(jnp.ones(1, "float16"), jnp.ones(1, "float32"), "x", "y")
