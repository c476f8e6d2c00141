"""The book's data sets."""

import hashlib
from functools import cache, partial
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key

from ntklib import _checks

_FOLDER = Path(__file__).parent / "datasets"


class _File(NamedTuple):
    """A file of images: its checksum, and the number that stands for white."""

    name: str
    sha256: str
    white: int


_MNIST = _File("mnist_10k.npz", "f1a23f2fb1a1c97bb00a811807ddd50a888dbcdcdead94147993273c22ee3f37", 255)
_DIGITS = _File("digits.npz", "a0712fbfc3b6e8004f042855b57870d7007072b33190cb37b9d46d2f247ebff2", 16)


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


def sphere(key: Key[Array, ""], n: int, dim: int) -> Float[Array, "n dim"]:
    r"""Independent uniform points of the unit sphere $S^{dim-1}$, normal vectors divided by their lengths.

    Args:
        key: A key of `jax.random.key`.
        n: Number of points.
        dim: Dimension of the space around the sphere, n_0; 2 for the circle.

    Returns:
        The points, (n, dim), the same in float32 and float64.

    Raises:
        ValueError: If n or dim is no integer from 1 on.

    Source: Guide III.3.3 · depth paper Prop. 7.

    >>> bool(jnp.allclose((sphere(jax.random.key(0), 5, 3) ** 2).sum(1), 1.0))
    True
    """
    _checks.count(n, "n")
    _checks.count(dim, "dim")
    return _sphere(key, int(n), int(dim))


def to_sphere(x: Float[Array, "N n0"]) -> Float[Array, "N n0"]:
    r"""Points on their rays, at length one: $x / \|x\|$.

    Args:
        x: N points, one per row, none of them zero.

    Returns:
        The points of the unit sphere, (N, n_0).

    Raises:
        ValueError: If x is not (N, n_0), not finite or holds a zero vector (under `jit` the row is NaN).
        TypeError: If x is not floating.

    Source: depth paper §4, case b.

    >>> bool(jnp.allclose(to_sphere(jnp.array([[3.0, -4.0]])), jnp.array([[0.6, -0.8]])))
    True
    """
    x = _checks.rows(x, "x")
    if _checks.is_concrete(x) and (zeros := int((~np.asarray(x).any(1)).sum())):
        raise ValueError(
            f"x must hold no zero vector, which has no direction: got {zeros} of them. "
            "Remove them, or write stereographic(x)."
        )
    return _to_sphere(x)


def stereographic(x: Float[Array, "N m"]) -> Float[Array, "N m+1"]:
    r"""The inverse stereographic projection $x \mapsto (2x, \|x\|^2 - 1) / (\|x\|^2 + 1)$ to the sphere $S^m$.

    $R^m$ is the plane of the equator, and lines run through the pole $(0, …, 0, 1)$, which is infinitely far away.
    Different points stay different, also those on one line through 0; $x$ and $-x/\|x\|^2$ become antipodes.

    Args:
        x: N points, one per row.

    Returns:
        The points of the unit sphere, (N, m + 1).

    Raises:
        ValueError: If x is not (N, m) or not finite.
        TypeError: If x is not floating.

    Source: depth paper Def. 6 (which leaves the pole open) and §4, case c.

    >>> bool(jnp.allclose(stereographic(jnp.array([[0.0], [1.0], [2.0]]))[:, 1], jnp.array([-1.0, 0.0, 0.6])))
    True
    """
    return _stereographic(_checks.rows(x, "x", "m"))


def digits(n: int) -> tuple[Float[Array, "n 64"], Int32[Array, " n"]]:
    r"""The first n of 1797 handwritten digits, 8 × 8 pixels between 0 and 1, in random order.

    Args:
        n: Number of images, up to 1797.

    Returns:
        The images as rows, (n, 64), and the digits they show, (n,).

    Raises:
        ValueError: If n is no integer from 1 to 1797, or the file is damaged.
        FileNotFoundError: If the file is missing.

    Source: E. Alpaydin and C. Kaynak, UCI repository; smaller than the images of Guide V.3 · JGH §6.3.

    >>> x, labels = digits(3)
    >>> x.shape, labels.tolist()
    ((3, 64), [6, 6, 6])
    """
    return _images(_DIGITS, n)


def mnist(n: int) -> tuple[Float[Array, "n 784"], Int32[Array, " n"]]:
    r"""The first n of 10 000 training images of MNIST, 28 × 28 pixels between 0 and 1, in random order.

    At this scale, where $\|x\|$ is about $\sqrt{n_0}/3$, JGH's largest eigenvalue (§6.3) is found, with L = 5.

    Args:
        n: Number of images, up to 10 000.

    Returns:
        The images as rows, (n, 784), and the digits they show, (n,).

    Raises:
        ValueError: If n is no integer from 1 to 10 000, or the file is damaged.
        FileNotFoundError: If the file is missing.

    Source: Guide V.3 · JGH §6.3.

    >>> x, labels = mnist(3)
    >>> x.shape, labels.tolist()
    ((3, 784), [3, 8, 1])
    """
    return _images(_MNIST, n)


@partial(jax.jit, static_argnames=("n", "dim"))
def _sphere(key: Array, n: int, dim: int) -> Array:
    return _to_sphere(jax.random.normal(key, (n, dim), jnp.float32).astype(float))


@jax.jit
def _to_sphere(x: Array) -> Array:
    x = x / jnp.abs(x).max(1, keepdims=True)  # so that no square overflows
    return x / jnp.sqrt((x * x).sum(1, keepdims=True))


@jax.jit
def _stereographic(x: Array) -> Array:
    square = (x * x).sum(1, keepdims=True)
    return jnp.concatenate([2 * x, square - 1], axis=1) / (square + 1)


def _images(file: _File, n: int) -> tuple[Array, Array]:
    images, labels = _read(file)
    if isinstance(n, bool) or not isinstance(n, Integral) or not 1 <= n <= len(labels):
        raise ValueError(
            f"n must be an integer from 1 to {len(labels)}, the number of images: got {n!r}. Write, for example, n=100."
        )
    return jnp.asarray(images[:n].reshape(n, -1) / file.white, dtype=float), jnp.asarray(labels[:n], jnp.int32)


@cache
def _read(file: _File) -> tuple[np.ndarray, np.ndarray]:
    path = _FOLDER / file.name
    if not path.is_file():
        raise FileNotFoundError(f"{file.name} must be in ntklib/datasets: got no such file. Install ntklib anew.")
    if (sha256 := hashlib.sha256(path.read_bytes()).hexdigest()) != file.sha256:
        raise ValueError(
            f"{file.name} must be the file with SHA-256 {file.sha256[:8]}…: got {sha256[:8]}…, a damaged one. "
            "Install ntklib anew."
        )
    with np.load(path) as stored:
        return stored["images"], stored["labels"]
