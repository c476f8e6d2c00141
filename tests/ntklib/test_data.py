"""The circle."""

import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, EPS, assert_close, refuses, untyped

import ntklib as nk


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_equally_spaced_points(n):
    x = nk.circle(n)
    angles = 2 * np.pi * np.arange(n) / n
    assert x.shape == (n, 2) and x.dtype == DTYPE
    # The angle 2πi/n rounds twice, at a size of at most 2π.
    assert_close(x, np.stack([np.cos(angles), np.sin(angles)], axis=1), 16 * EPS)


def test_a_numpy_count_is_a_count():
    with untyped():
        assert nk.circle(np.int64(3)).shape == (3, 2)


def test_points_at_given_angles():
    angles = jnp.asarray([-np.pi, 0, 1, 20], DTYPE)
    x, exact = nk.circle(angles), np.asarray(angles, float)
    assert_close(x, np.stack([np.cos(exact), np.sin(exact)], axis=1), 4 * EPS)


def test_points_are_of_length_one():
    assert_close((nk.circle(1000) ** 2).sum(1), np.ones(1000), 4 * EPS)


@pytest.mark.parametrize("n", [0, -2, True])
def test_counts_that_are_none_are_refused(n):
    with refuses(ValueError, "angles", "an integer from 1 on", "Write, for example, angles=100"):
        nk.circle(n)


@pytest.mark.parametrize("angles", [2.5, jnp.arange(3), jnp.ones((2, 2)), np.ones((3, 1))])
def test_angles_that_are_none_are_refused(angles):
    with refuses(ValueError, "angles", r"an integer or an array \(N,\) of radians", r"Write circle\(8\) or circle\("):
        nk.circle(angles)


def test_angles_that_are_not_finite_are_refused():
    with refuses(ValueError, "angles", "finite", "Remove them or replace them"):
        nk.circle(jnp.asarray([0, np.nan], DTYPE))
