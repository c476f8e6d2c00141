"""Gram matrices tile by tile: each tile is computed while in cache and written once, or twice mirrored."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

Tile = Callable[[PyTree, PyTree, Array], Array]
"""tile(points of the rows, points of the columns, whether both are the same block) -> the block."""


def gram(tile: Tile, rows: PyTree, columns: PyTree | None, block_size: int | None) -> Array:
    """The matrix of all tiles; without columns the upper triangle only, mirrored."""
    n = jax.tree.leaves(rows)[0].shape[0]
    m = n if columns is None else jax.tree.leaves(columns)[0].shape[0]
    size = min(max(n, m), block_size or (256 if max(n, m) <= 1000 else 512))
    rows, n_blocks = _padded(rows, n, size)
    if columns is None:
        pairs = np.stack(np.triu_indices(n_blocks), axis=1)
    else:
        columns, m_blocks = _padded(columns, m, size)
        pairs = np.indices((n_blocks, m_blocks)).reshape(2, -1).T

    below = jnp.tri(size, k=-1, dtype=bool)

    def block(points: PyTree, index: Array) -> PyTree:
        return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, index * size, size), points)

    def write(matrix: Array, pair: Array) -> tuple[Array, None]:
        i, j = pair[0], pair[1]
        same = i == j if columns is None else jnp.zeros((), bool)
        value = tile(block(rows, i), block(rows if columns is None else columns, j), same)
        # Without the barrier the compiler computes the tile again for the second write.
        value = jax.lax.optimization_barrier(jnp.where(same & below, value.T, value))
        matrix = jax.lax.dynamic_update_slice(matrix, value, (i * size, j * size))
        if columns is None:
            matrix = jax.lax.dynamic_update_slice(matrix, value.T, (j * size, i * size))
        return matrix, None

    shape = (n_blocks * size, (n_blocks if columns is None else m_blocks) * size)
    zeros = jnp.zeros(shape, jax.tree.leaves(rows)[0].dtype)
    return jax.lax.scan(write, zeros, jnp.asarray(pairs))[0][:n, :m]


def _padded(points: PyTree, n: int, size: int) -> tuple[PyTree, int]:
    blocks = -(-n // size)

    def pad(a: Array) -> Array:
        return jnp.concatenate([a, jnp.ones((blocks * size - n, *a.shape[1:]), a.dtype)])

    return jax.tree.map(pad, points), blocks
