r"""Where training ends: kernel regression, its Bayesian reading, and the Gaussian law of trained networks.

Covariances are those of one output; the $n_L$ outputs are independent and share them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from ntklib import _checks
from ntklib.dynamics import Spectrum, decay, spectrum


class Blocks(NamedTuple):
    """A kernel at N data points x and M test points t: K(x, x), K(t, x) and K(t, t)."""

    xx: Float[Array, "N N"]
    tx: Float[Array, "M N"]
    tt: Float[Array, "M M"]


class Gaussian(NamedTuple):
    """A Gaussian law at M points: the mean of every output and the covariance that all outputs share."""

    mean: Float[Array, "M nL"]
    cov: Float[Array, "M M"]


def blocks(kernel: Callable[..., Array], x: Float[Array, "N n0"], x_test: Float[Array, "M n0"]) -> Blocks:
    r"""A kernel at data and test points, $K(x, x)$, $K(x_{test}, x)$ and $K(x_{test}, x_{test})$.

    Args:
        kernel: `kernel(x)` and `kernel(x, y)` give matrices, as `partial(ntk, mlp)` does.
        x: N data points, one per row.
        x_test: M test points, one per row.

    Returns:
        `Blocks(xx, tx, tt)` of shapes (N, N), (M, N) and (M, M).

    Raises:
        ValueError: If points are not two-dimensional and finite, or the kernel gives no such matrices.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.3 · JGH §5.

    >>> k = blocks(lambda x, y=None: x @ (x if y is None else y).T, jnp.ones((3, 2)), jnp.ones((4, 2)))
    >>> k.xx.shape, k.tx.shape, k.tt.shape
    ((3, 3), (4, 3), (4, 4))
    """
    x, x_test = _checks.rows(x, "x"), _checks.rows(x_test, "x_test")
    return _checked(Blocks(kernel(x), kernel(x_test, x), kernel(x_test)), "blocks")


def kernel_regression(k: Blocks, y: Float[Array, "N nL"], *, ridge: float | Array = 0.0) -> Float[Array, "M nL"]:
    r"""Kernel regression, $K_{tx} (K_{xx} + r I)^{-1} y$.

    Args:
        k: The kernel at data and test points.
        y: Targets at the data points, (N, n_L).
        ridge: $r \ge 0$, added to the diagonal of $K_{xx}$ as it is, not times N.

    Returns:
        The values at the M test points, (M, n_L); NaN under `jit` where an error would be raised.

    Raises:
        ValueError: If shapes do not fit, values are not finite, ridge is negative,
            or $K_{xx} + r I$ is singular up to rounding.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.3.1 · JGH §5.

    >>> k = Blocks(2 * jnp.eye(2), jnp.array([[1.0, 0.0]]), jnp.ones((1, 1)))
    >>> kernel_regression(k, jnp.array([[8.0], [5.0]]), ridge=2.0).tolist()
    [[2.0]]
    """
    k, y = _with_targets(k, y, "k")
    _checks.amount(ridge, "ridge")
    values = _kernel_regression(k, y, ridge)
    _definite(values, k.xx, ridge, "k", "ridge")
    return values


def gp_posterior(sigma: Blocks, y: Float[Array, "N nL"], *, noise: float | Array = 0.0) -> Gaussian:
    r"""Bayes' posterior of $f \sim N(0, \Sigma)$ given $y = f(x) + \varepsilon$ with $\varepsilon \sim N(0, v I)$.

    The mean is $\Sigma_{tx} (\Sigma_{xx} + v I)^{-1} y$ and the covariance
    $\Sigma_{tt} - \Sigma_{tx} (\Sigma_{xx} + v I)^{-1} \Sigma_{xt}$; without noise it is also the law of infinitely
    wide networks whose last layer alone is trained, for ever.

    Args:
        sigma: The covariance at data and test points.
        y: Observations at the data points, (N, n_L).
        noise: $v \ge 0$, a variance.

    Returns:
        `Gaussian(mean, cov)` of f, without noise, at the test points; NaN under `jit` where an error would be raised.

    Raises:
        ValueError: If shapes do not fit, values are not finite, noise is negative,
            or $\Sigma_{xx} + v I$ is singular up to rounding.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.3 · JGH §5.

    >>> sigma = Blocks(jnp.eye(1), jnp.array([[0.5]]), jnp.eye(1))
    >>> [a.tolist() for a in gp_posterior(sigma, jnp.array([[2.0]]))]
    [[[1.0]], [[0.75]]]
    """
    sigma, y = _with_targets(sigma, y, "sigma")
    _checks.amount(noise, "noise")
    posterior = _gp_posterior(sigma, y, noise)
    _definite(posterior.mean, sigma.xx, noise, "sigma", "noise")
    return posterior


def trained_distribution(
    theta: Blocks, sigma: Blocks, y: Float[Array, "N nL"], *, t: float | Array = jnp.inf, ridge: float | Array = 0.0
) -> Gaussian:
    r"""Law of $f_t$ that starts at $f_0 \sim N(0, \Sigma)$ and follows the gradient flow of the square cost.

    $f_t = f_0 + A_t (y - f_0(x))$ with $A_t = \Theta_{tx} H^{-1} (1 - e^{-t H / N})$ and $H = \Theta_{xx} + r I$,
    so the mean is $A_t y$ and the covariance
    $\Sigma_{tt} - A_t \Sigma_{xt} - \Sigma_{tx} A_t^T + A_t \Sigma_{xx} A_t^T$.

    Args:
        theta: The kernel of the flow, the limiting NTK, at data and test points.
        sigma: The covariance of $f_0$ at the same points.
        y: Targets at the data points, (N, n_L).
        t: Time, learning rate times steps; `jnp.inf` for the end of training.
        ridge: $r \ge 0$, of a cost that grows by $\frac{r}{2N}$ times the squared distance of the parameters
            from their start; added to the diagonal of $\Theta_{xx}$ as it is.

    Returns:
        `Gaussian(mean, cov)` of $f_t$ at the test points. The null space of H, up to rounding, is never learned.

    Raises:
        ValueError: If shapes do not fit, values are not finite, t or ridge is negative,
            or $\Theta_{xx}$ is not positive semi-definite.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.3 · JGH §5.

    >>> k = Blocks(jnp.eye(1), jnp.array([[0.5]]), jnp.eye(1))
    >>> [a.tolist() for a in trained_distribution(k, k, jnp.array([[2.0]]))]
    [[[1.0]], [[0.75]]]
    """
    theta, y = _with_targets(theta, y, "theta")
    sigma = _checked(sigma, "sigma")
    if theta.tx.shape != sigma.tx.shape:
        raise ValueError(
            f"sigma must be at the points of theta, (M, N) = {theta.tx.shape}: got {sigma.tx.shape}. "
            "Write blocks(kernel, x, x_test) for both with the same points."
        )
    _checks.same_dtype(theta.xx, sigma.xx, "theta", "sigma")
    _checks.time(t)
    _checks.amount(ridge, "ridge")
    return _trained_distribution(spectrum(theta.xx), theta.tx, sigma, y, t, ridge)


def quantiles(g: Gaussian, p: Float[Array, " q"]) -> Float[Array, "q M nL"]:
    r"""Quantiles of a Gaussian law at every point, $\mu + \Phi^{-1}(p)\, \sqrt{\mathrm{diag}\, C}$.

    Args:
        g: The law.
        p: Probabilities strictly between 0 and 1, (q,).

    Returns:
        One curve per probability, (q, M, n_L).

    Raises:
        ValueError: If p is not (q,) strictly between 0 and 1, or g is not finite or does not fit together.
        TypeError: If dtypes differ or are not floating.

    Source: Guide V.2 · JGH §6.2.

    >>> quantiles(Gaussian(jnp.array([[3.0]]), jnp.eye(1)), jnp.array([0.5])).tolist()
    [[[3.0]]]
    """
    mean, cov = _checks.rows(g.mean, "g.mean", "n_L"), _checks.gram(g.cov, "g.cov")
    _checks.data_points(cov, mean, "g.cov", "g.mean")
    if np.ndim(p) != 1 or (_checks.is_concrete(p) and not all(0 < level < 1 for level in np.asarray(p))):
        raise ValueError(
            f"p must hold probabilities strictly between 0 and 1: got {p if np.ndim(p) == 0 else np.shape(p)}. "
            "Write, for example, jnp.array([0.1, 0.5, 0.9])."
        )
    return _quantiles(mean, cov, jnp.asarray(p, mean.dtype))


def _checked(k: Blocks, name: str) -> Blocks:
    xx, tx = _checks.gram(k.xx, f"{name}.xx"), _checks.rows(k.tx, f"{name}.tx", "N")
    tt = _checks.gram(k.tt, f"{name}.tt")
    if tx.shape != (len(tt), len(xx)):
        raise ValueError(
            f"{name} must hold matrices (N, N), (M, N) and (M, M): got {xx.shape}, {tx.shape} and {tt.shape}. "
            "Write blocks(kernel, x, x_test)."
        )
    _checks.same_dtype(xx, tx, f"{name}.xx", f"{name}.tx")
    _checks.same_dtype(xx, tt, f"{name}.xx", f"{name}.tt")
    return Blocks(xx, tx, tt)


def _with_targets(k: Blocks, y: Array, name: str) -> tuple[Blocks, Array]:
    k, y = _checked(k, name), _checks.rows(y, "y", "n_L")
    _checks.data_points(k.tx, y, f"{name}.tx", "y")
    return k, y


def _definite(values: Array, k_xx: Array, added: float | Array, name: str, added_name: str) -> None:
    """Refuse the NaN that `_cholesky` gives for a singular matrix."""
    if not _checks.is_concrete(values) or bool(jnp.isfinite(values).all()):
        return
    smallest = float(np.linalg.eigvalsh(np.asarray(k_xx))[0])
    enough = 2 * max(-smallest, 0.0) + float(jnp.finfo(k_xx.dtype).eps ** 0.5 * np.diag(k_xx).max())
    raise ValueError(
        f"{name}.xx + {added_name} must be positive definite in {k_xx.dtype}: got {added_name}={float(added):.3g} "
        f"with the smallest eigenvalue {smallest:.1e} of {name}.xx. "
        f"Write {added_name}={enough:.0e} or more, or leave out repeated points; float64 tells closer ones apart."
    )


def _cholesky(k_xx: Array, added: float | Array) -> Array:
    """The lower factor of K + r I; NaN where a pivot is lost in the rounding of its diagonal entry."""
    k_xx = k_xx + jnp.asarray(added, k_xx.dtype) * jnp.eye(len(k_xx), dtype=k_xx.dtype)
    factor = jnp.linalg.cholesky(k_xx)
    # Rounding leaves up to 6 ε of a pivot that should be 0.
    regular = jnp.diag(factor) ** 2 > 16 * float(jnp.finfo(k_xx.dtype).eps) * jnp.diag(k_xx)
    return jnp.where(regular.all(), factor, jnp.nan)


def _covariance(c: Array) -> Array:
    """C without what rounding did to its symmetry and to variances that are 0."""
    c = (c + c.T) / 2
    return jnp.where(jnp.eye(len(c), dtype=bool), jnp.maximum(c, 0), c)


@jax.jit
def _kernel_regression(k: Blocks, y: Array, ridge: float | Array) -> Array:
    return k.tx @ cho_solve((_cholesky(k.xx, ridge), True), y)


@jax.jit
def _gp_posterior(sigma: Blocks, y: Array, noise: float | Array) -> Gaussian:
    factor = _cholesky(sigma.xx, noise)
    explained = solve_triangular(factor, sigma.tx.T, lower=True)
    mean = explained.T @ solve_triangular(factor, y, lower=True)
    return Gaussian(mean, _covariance(sigma.tt - explained.T @ explained))


@jax.jit
def _trained_distribution(
    spec: Spectrum, theta_tx: Array, sigma: Blocks, y: Array, t: float | Array, ridge: float | Array
) -> Gaussian:
    n = len(y)
    _, learned = decay(spec.eigenvalues + jnp.asarray(ridge, y.dtype) / n, t)
    A = theta_tx @ (spec.functions * learned[None]) @ spec.functions.T / n**2
    mixed = A @ sigma.tx.T
    return Gaussian(A @ y, _covariance(sigma.tt - mixed - mixed.T + A @ sigma.xx @ A.T))


@jax.jit
def _quantiles(mean: Array, cov: Array, p: Array) -> Array:
    deviation = jnp.sqrt(jnp.diag(cov))
    return mean[None] + ndtri(p)[:, None, None] * deviation[None, :, None]
