"""Circle, sphere and images: against formulas, moments with their standard errors, and the stored files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, EPS, assert_close, points, refuses, untyped

import ntklib as nk
from ntklib import data

KEY = jax.random.key(0)
SETS = {
    nk.mnist: ("mnist_10k.npz", 255, [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]),
    nk.digits: ("digits.npz", 16, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
}
"""File, white, and how many there are of the digits 0 … 9: of MNIST's first 10 000, and of the UCI test set."""

by_set = pytest.mark.parametrize("images", SETS, ids=lambda f: f.__name__)


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


@pytest.mark.parametrize(("n", "dim"), [(1, 1), (5, 2), (40, 3)])
def test_points_of_the_sphere_are_normal_vectors_made_unit(n, dim):
    x = nk.sphere(KEY, n, dim)
    drawn = np.asarray(jax.random.normal(KEY, (n, dim), jnp.float32), float)  # in both precisions
    assert x.shape == (n, dim) and x.dtype == DTYPE
    assert_close(x, drawn / np.linalg.norm(drawn, axis=1, keepdims=True), 4 * EPS)


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_points_of_the_sphere_are_uniform(dim):
    n = 20_000
    x = np.asarray(nk.sphere(jax.random.key(dim), n, dim), float)
    # Of mean 0, E[x_i x_j] = δ_ij / d and E[x_i⁴] = 3 / (d (d + 2)); all entries are at most 1 in size and so are their
    # standard deviations, which makes 5/√n five standard errors and more.
    assert np.abs(x.mean(0)).max() < 5 / n**0.5
    assert np.abs(x.T @ x / n - np.eye(dim) / dim).max() < 5 / n**0.5
    assert (x**4).mean() == pytest.approx(3 / (dim * (dim + 2)), abs=5 / n**0.5)


def test_the_share_of_a_cap_of_the_sphere_is_half_its_height():
    # In three dimensions P(x·e ≥ 1 − δ) = δ/2 (Archimedes): coordinates are uniform on (−1, 1).
    n = 20_000
    heights = np.sort(np.asarray(nk.sphere(KEY, n, 3)[:, 0], float))
    # Kolmogorov: √n times the largest distance exceeds 1.95 once in a thousand times.
    assert np.abs((heights + 1) / 2 - (np.arange(n) + 0.5) / n).max() < 1.95 / n**0.5


@pytest.mark.parametrize("bad", [0, -1, 2.0, True])
def test_numbers_and_dimensions_that_are_none_are_refused(bad):
    for name, call in (("n", lambda: nk.sphere(KEY, bad, 3)), ("dim", lambda: nk.sphere(KEY, 3, bad))):
        with refuses(ValueError, name, "an integer from 1 on", f"Write, for example, {name}=100"):
            call()


def test_rays_meet_the_sphere():
    x = points(20, 3)
    expected = np.asarray(x, float) / np.linalg.norm(np.asarray(x, float), axis=1, keepdims=True)
    limits = jnp.finfo(DTYPE)
    for factor in (1, float(limits.tiny) ** 0.75, float(limits.max) ** 0.75):  # no square underflows or overflows
        assert_close(nk.to_sphere(jnp.asarray(factor, DTYPE) * x), expected, 4 * EPS)
    with untyped():
        assert_close(nk.to_sphere([[3.0, 4.0], [0.0, -2.0]]), [[0.6, 0.8], [0, -1]], EPS)


def test_moving_along_the_ray_moves_nothing_on_the_sphere():
    x = points(4, 3)
    moved, along = jax.jvp(nk.to_sphere, (x,), (x,))
    assert_close(along, jnp.zeros_like(x), 8 * EPS, 1)
    across = jnp.cross(x, points(4, 3, seed=1))
    expected = np.asarray(across, float) / np.linalg.norm(np.asarray(x, float), axis=1, keepdims=True)
    assert_close(jax.jvp(nk.to_sphere, (x,), (across,))[1], expected, 16 * EPS)


def test_a_zero_vector_has_no_direction():
    x = jnp.asarray([[0, 0], [0, 1], [0, 0]], DTYPE)
    with refuses(ValueError, "x", "hold no zero vector", r"Remove them, or write stereographic\(x\)"):
        nk.to_sphere(x)
    assert jnp.isnan(jax.jit(nk.to_sphere)(x)).all(1).tolist() == [True, False, True]


@pytest.mark.parametrize("m", [1, 2, 5])
def test_stereographic_is_undone_by_the_projection_from_the_pole(m):
    x = jnp.concatenate([points(20, m), jnp.zeros((1, m), DTYPE)])
    sphere = np.asarray(nk.stereographic(x), float)
    assert sphere.shape == (21, m + 1)
    assert_close((sphere**2).sum(1), np.ones(21), 8 * EPS)
    # The line from the pole through the point meets the plane of the equator in x. Lengths are below 5, so that the
    # distance to the pole is above 2/26.
    assert_close(sphere[:, :-1] / (1 - sphere[:, -1:]), x, 32 * EPS)
    inverted = nk.stereographic(-x[:-1] / (x[:-1] ** 2).sum(1)[:, None])
    assert_close(inverted, -sphere[:-1], 16 * EPS)  # the antipode


def test_stereographic_parts_points_of_one_line():
    x = jnp.asarray([[-2, -2], [0.5, 0.5], [1, 1], [3, 3]], DTYPE)
    mlp = nk.MLP(3, beta=0.0)
    before, after = (np.linalg.eigvalsh(np.asarray(nk.ntk(mlp, z), float)) for z in (x, nk.stereographic(x)))
    # Two opposite rays give a matrix of rank 2; on the sphere the angles are at least 0.28.
    assert np.abs(before[:2]).max() < 32 * EPS * before[-1] and after[0] > 1e-3 * after[-1]


@pytest.mark.parametrize("function", [nk.to_sphere, nk.stereographic])
def test_points_that_are_none_are_refused(function):
    with refuses(ValueError, "x", "shape", r"Write x\[:, None\]"):
        function(jnp.ones(3, DTYPE))
    with refuses(ValueError, "x", "finite", "Remove them"):
        function(jnp.asarray([[1, np.nan]], DTYPE))
    with refuses(TypeError, "x", "hold floating-point numbers", "Write jnp.asarray"):
        function(jnp.ones((2, 2), int))


@by_set
def test_images_are_the_rows_of_the_file(images):
    file, white, _ = SETS[images]
    x, labels = images(7)
    with np.load(data._FOLDER / file) as stored:
        assert stored["images"].max() == white
        expected, digits = stored["images"][:7], stored["labels"][:7]
    assert x.shape == (7, expected[0].size) and x.dtype == DTYPE and labels.dtype == jnp.int32
    assert_close(white * x, expected.reshape(7, -1), EPS)
    assert labels.tolist() == digits.tolist()


@by_set
def test_all_images(images):
    counts = SETS[images][2]
    x, labels = images(sum(counts))
    assert jnp.bincount(labels).tolist() == counts
    assert x.min() == 0 and x.max() == 1
    one = np.asarray(x[labels == 1].mean(0)).reshape(int(x.shape[1] ** 0.5), -1)
    assert (one.sum(1) > one.sum(1).max() / 2).sum() > 1.5 * (one.sum(0) > one.sum(0).max() / 2).sum()  # upright
    # In random order: the share of a class in the first half is 1/2, with a standard deviation of 1/√(4 count).
    first = jnp.bincount(labels[: len(labels) // 2], length=10)
    assert (np.abs(first / np.array(counts) - 0.5) < 4 / np.sqrt(4 * np.array(counts))).all()


def test_the_scale_of_mnist_is_that_of_the_paper():
    x = nk.mnist(512)[0]
    largest = np.linalg.eigvalsh(np.asarray(nk.ntk(nk.MLP(depth=5), x), float) / 512)[-1]
    # Printed in §6.3: 0.0457. Batches of 512 scatter by 0.0003, and the paper's kernel is that of one network.
    assert largest == pytest.approx(0.0457, abs=4 * 0.0003)


@by_set
@pytest.mark.parametrize("bad", [0, -1, 10_001, 2.0, True])
def test_numbers_of_images_that_are_none_are_refused(images, bad):
    with refuses(ValueError, "n", f"an integer from 1 to {sum(SETS[images][2])}", "Write, for example, n=100"):
        images(bad)


@by_set
def test_the_last_image_is_the_last(images):
    n = sum(SETS[images][2])
    assert images(n)[0].shape[0] == n
    with refuses(ValueError, "n", f"an integer from 1 to {n}", "Write, for example"):
        images(n + 1)


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
    data._read.cache_clear()
    yield tmp_path
    data._read.cache_clear()


@by_set
def test_missing_and_damaged_files_are_refused(images, empty_folder):
    file = SETS[images][0]
    with refuses(FileNotFoundError, file, "in ntklib/datasets", "Install ntklib anew"):
        images(3)
    whole = bytearray((data.Path(data.__file__).parent / "datasets" / file).read_bytes())
    whole[len(whole) // 2] ^= 1
    (empty_folder / file).write_bytes(whole)
    with refuses(ValueError, file, "the file with SHA-256", "Install ntklib anew"):
        images(3)


def test_the_readme_names_every_file_with_its_checksum():
    text = (data._FOLDER / "README.md").read_text(encoding="utf-8")
    assert {file.name for file in data._FOLDER.iterdir()} == {"README.md", *(name for name, *_ in SETS.values())}
    assert all(f"`{file.name}`" in text and f"`{file.sha256}`" in text for file in (data._MNIST, data._DIGITS))
