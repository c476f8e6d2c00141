r"""Random functions with a given covariance, and the tangent kernel of the linear model on P of them.

$F^{lin}(\theta) = \frac{1}{\sqrt P} \sum_p \theta_p f^{(p)}$ has the tangent kernel
$\tilde K = \frac1P \sum_p f^{(p)} \otimes f^{(p)}$, which tends to $K = E[f^{(p)} \otimes f^{(p)}]$ as P grows.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ntklib import _checks


def gaussian_functions(key: Key[Array, ""], gram: Float[Array, "N N"], P: int) -> Float[Array, "N P"]:
    r"""Independent Gaussian functions $f^{(p)} \sim N(0, K)$ at N points, $f = K^{1/2} z$ with $z$ of N(0, 1) entries.

    The root is the symmetric one, so that float32 and float64 give the same functions.

    Args:
        key: A key of `jax.random.key`.
        gram: $K(x_i, x_j)$, (N, N), positive semi-definite; eigenvalues that rounding hides count as 0.
        P: Number of functions.

    Returns:
        The values $f^{(p)}(x_i)$, (N, P), one function per column.

    Raises:
        ValueError: If gram is not square, symmetric, positive semi-definite and finite, or P no integer from 1 on.
            Under `jit` only shapes are checked, and every negative eigenvalue counts as 0.

    Source: Guide I.4 · JGH §3.1.

    >>> gaussian_functions(jax.random.key(0), jnp.ones((3, 3)), 5).shape
    (3, 5)
    """
    gram = _checks.gram(gram, "gram")
    _checks.count(P, "P")
    eigenvalues, root = _root(gram)
    _checks.semi_definite(eigenvalues, "gram")
    return _gaussian_functions(key, root, P)


def fourier_features(
    key: Key[Array, ""], x: Float[Array, "N n0"], P: int, *, lengthscale: float | Array = 1.0
) -> Float[Array, "N P"]:
    r"""Random waves $f^{(p)}(x) = \sqrt2 \cos(\omega_p \cdot x / s + b_p)$, $\omega_p \sim N(0, I)$, $b_p$ uniform.

    Their covariance is the Gaussian kernel, $E[f^{(p)}(x) f^{(p)}(x')] = e^{-|x - x'|^2 / 2 s^2}$.

    Args:
        key: A key of `jax.random.key`.
        x: N points of dimension n_0, one per row.
        P: Number of functions.
        lengthscale: $s > 0$, in the unit of x.

    Returns:
        The values $f^{(p)}(x_i)$, (N, P), one function per column.

    Raises:
        ValueError: If x is not (N, n_0) and finite, P no integer from 1 on, or lengthscale no positive number.

    Source: Guide I.4 · JGH §3.1 and [16].

    >>> f = fourier_features(jax.random.key(0), jnp.ones((1, 2)), 1000)
    >>> bool(jnp.abs(f).max() <= 2**0.5)
    True
    """
    x = _checks.rows(x, "x")
    _checks.count(P, "P")
    _checks.amount(lengthscale, "lengthscale")
    if _checks.is_concrete(lengthscale) and float(lengthscale) == 0:
        raise ValueError("lengthscale must be above 0: got 0. Write, for example, lengthscale=1.0.")
    return _fourier_features(key, x, P, lengthscale)


def tangent_kernel(fx: Float[Array, "N P"], fy: Float[Array, "M P"] | None = None) -> Float[Array, "N M"]:
    r"""Tangent kernel of the linear model on P functions, $\tilde K(x, x') = \frac1P \sum_p f^{(p)}(x) f^{(p)}(x')$.

    Args:
        fx: $f^{(p)}(x_i)$, (N, P).
        fy: $f^{(p)}(y_j)$, (M, P), of the same functions; without them those at the points of x.

    Returns:
        The kernel matrix, (N, M).

    Raises:
        ValueError: If fx or fy is not (number of points, P) and finite, or their P differ.
        TypeError: If dtypes differ or are not floating.

    Source: Guide I.4.2 · JGH §3.1.

    >>> tangent_kernel(jnp.array([[1.0, 3.0]])).tolist()
    [[5.0]]
    """
    fx = _checks.rows(fx, "fx", "P")
    fy = fx if fy is None else _checks.rows(fy, "fy", "P")
    if fx.shape[1] != fy.shape[1]:
        raise ValueError(
            f"fx and fy must hold values of the same P functions: got {fx.shape[1]} and {fy.shape[1]} columns. "
            "Write both as (number of points, P)."
        )
    _checks.same_dtype(fx, fy, "fx", "fy")
    return _tangent_kernel(fx, fy)


@jax.jit
def _root(gram: Array) -> tuple[Array, Array]:
    eigenvalues, vectors = jnp.linalg.eigh(gram)
    known = jnp.where(eigenvalues > _checks.rounding(eigenvalues), eigenvalues, 0)
    return eigenvalues, (vectors * jnp.sqrt(known)[None]) @ vectors.T


@partial(jax.jit, static_argnames="P")
def _gaussian_functions(key: Array, root: Array, P: int) -> Array:
    return root @ jax.random.normal(key, (root.shape[0], P), jnp.float32).astype(root.dtype)


@partial(jax.jit, static_argnames="P")
def _fourier_features(key: Array, x: Array, P: int, lengthscale: float | Array) -> Array:
    key_omega, key_b = jax.random.split(key)
    omega = jax.random.normal(key_omega, (x.shape[1], P), jnp.float32).astype(x.dtype)
    b = 2 * jnp.pi * jax.random.uniform(key_b, (P,), jnp.float32).astype(x.dtype)
    return 2**0.5 * jnp.cos(x @ omega / jnp.asarray(lengthscale, x.dtype) + b[None])


@jax.jit
def _tangent_kernel(fx: Array, fy: Array) -> Array:
    return fx @ fy.T / fx.shape[1]
