"""The book's data sets."""

from numbers import Integral

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntklib import _checks


def circle(angles: int | Float[Array, " N"]) -> Float[Array, "N 2"]:
    r"""Points $(\cos\gamma, \sin\gamma)$ of the unit circle.

    Args:
        angles: The angles $\gamma$ in radians, (N,); or a number N, for $\gamma = 2\pi i / N$ from 0 on.

    Returns:
        The points, (N, 2).

    Raises:
        ValueError: If angles is neither an integer from 1 on nor an array (N,) of finite numbers.

    Source: Guide V.1 · JGH §6.

    >>> bool(jnp.allclose(circle(4), jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), atol=1e-6))
    True
    """
    if isinstance(angles, Integral):
        _checks.count(angles, "angles")
        angles = jnp.arange(angles, dtype=float) * (2 * jnp.pi / angles)
    angles = jnp.asarray(angles)
    if angles.ndim != 1 or not jnp.issubdtype(angles.dtype, jnp.floating):
        raise ValueError(
            f"angles must be an integer or an array (N,) of radians: got {angles.dtype} of shape {angles.shape}. "
            "Write circle(8) or circle(jnp.linspace(-jnp.pi, jnp.pi, 100))."
        )
    _checks.finite(angles, "angles")
    return jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
