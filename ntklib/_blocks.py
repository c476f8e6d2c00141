"""Gram matrices tile by tile: each tile is computed while in cache and written once, or twice mirrored."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

Tile = Callable[[PyTree, PyTree], Array]
"""tile(points of the rows, points of the columns) -> their block of the matrix."""

_State = tuple[Array, Array, Array, Array]
"""The matrix so far, the tile to be written next, and where."""


def gram(tile: Tile, rows: PyTree, columns: PyTree | None, block_size: int | None) -> Array:
    """The matrix of all tiles; without columns the upper triangle only, mirrored."""
    n = jax.tree.leaves(rows)[0].shape[0]
    m = n if columns is None else jax.tree.leaves(columns)[0].shape[0]
    size = block_size or (256 if max(n, m) <= 1000 else 512)
    height, width = min(n, size), min(m, size)
    if columns is None:
        pairs = np.stack(np.triu_indices(-(-n // size)), axis=1)
    else:
        pairs = np.indices((-(-n // size), -(-m // size))).reshape(2, -1).T

    below = jnp.tri(height, width, k=-1, dtype=bool)

    # The last tile begins earlier where it would not fit: jax moves slices inside, and so do the writes.
    def block(points: PyTree, index: Array, size: int) -> PyTree:
        return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, index * size, size), points)

    @jax.checkpoint  # reverse mode computes a tile again rather than keep the layers of all tiles
    def value(rows: PyTree, columns: PyTree | None, i: Array, j: Array) -> Array:
        return tile(block(rows, i, height), block(rows if columns is None else columns, j, width))

    def write(matrix: Array, here: Array, i: Array, j: Array) -> Array:
        if columns is None:
            here = jnp.where((i == j) & below, here.T, here)
            matrix = jax.lax.dynamic_update_slice(matrix, here.T, (j * width, i * height))
        return jax.lax.dynamic_update_slice(matrix, here, (i * height, j * width))

    # A tile is written one step after it was computed: if not, the compiler computes it again for every write.
    def step(state: _State, pair: Array) -> tuple[_State, None]:
        i, j = pair[0], pair[1]
        return (write(*state), value(rows, columns, i, j), i, j), None

    dtype, (first, _) = jax.tree.leaves(rows)[0].dtype, jnp.asarray(pairs[0])
    nothing = jnp.zeros((n, m), dtype), jnp.zeros((height, width), dtype), first, first
    return write(*jax.lax.scan(step, nothing, jnp.asarray(pairs))[0])
