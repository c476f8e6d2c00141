"""Pictures: what is drawn is what was given, on the axis that was given and nowhere else."""

import json
import re

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from support import refuses

import ntklib as nk
from ntklib import plots

X = jnp.linspace(-jnp.pi, jnp.pi, 9)
CURVES = jnp.stack([jnp.sin(X), jnp.cos(X), X])


@pytest.fixture
def ax():
    """An axis that pyplot knows nothing of, in the style of the book."""
    with plt.style.context(plots._HERE / "book.mplstyle"):
        yield Figure().subplots()
    assert not plt.get_fignums()


def labels(ax):
    return ax.get_xlabel(), ax.get_ylabel()


def legend(ax):
    return ax.get_legend_handles_labels()[1]


@pytest.mark.parametrize("draw", [plots.kernel_on_circle, plots.trajectories])
def test_curves_are_drawn_one_by_one(ax, draw):
    lines = draw(ax, X, CURVES, color="C1", lw=3, label="three")
    assert [line.get_ydata().tolist() for line in lines] == np.asarray(CURVES).tolist()
    assert all((line.get_xdata() == np.asarray(X)).all() for line in lines)
    assert all(line.get_color() == "C1" and line.get_linewidth() == 3 for line in lines)
    (single,) = draw(ax, X, CURVES[0], label="one")
    assert single.get_ydata().tolist() == np.asarray(CURVES[0]).tolist()
    assert ax.lines[:] == [*lines, single] and legend(ax) == ["three", "one"]


def test_the_circle_is_labelled_in_parts_of_pi(ax):
    plots.kernel_on_circle(ax, X, CURVES)
    assert labels(ax)[0] == r"angle $\gamma$"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["−π", "−π/2", "0", "π/2", "π"]
    assert ax.get_xticks() == pytest.approx(np.pi * np.array([-1, -0.5, 0, 0.5, 1]))


def test_trajectories_are_labelled(ax):
    plots.trajectories(ax, X, CURVES)
    assert labels(ax) == ("time $t$ (learning rate × steps)", r"norm $\|\cdot\|_{p^{in}}$")


@pytest.mark.parametrize(
    ("draw", "x", "y"), [(plots.kernel_on_circle, "angles", "kernels"), (plots.trajectories, "t", "norms")]
)
def test_curves_that_do_not_fit_are_refused(ax, draw, x, y):
    for places, values in ((X, CURVES[:, 1:]), (X, CURVES.T), (X[None], CURVES), (X, CURVES[None])):
        with refuses(ValueError, y, f"one value per entry of {x}", rf"Write {y} of shape \(A,\) or \(K, A\)"):
            draw(ax, places, values)
    assert not ax.lines


def test_a_band_between_quantiles_around_a_dashed_line(ax):
    low, middle, high = quantiles = jnp.stack([jnp.sin(X) - 1, jnp.sin(X), jnp.sin(X) + 2])
    band, line = plots.gaussian_band(ax, X, quantiles, color="C2", label="limit")
    assert line.get_ydata().tolist() == middle.tolist() and line.get_linestyle() == "--"
    (path,) = band.get_paths()
    for bound in (low, high):
        edge = np.stack([X, bound], axis=1)
        assert all(np.abs(path.vertices - corner).max(1).min() < 1e-6 for corner in edge)
    assert path.vertices[:, 1].min() == low.min() and path.vertices[:, 1].max() == high.max()
    assert same_color(band.get_facecolor()[0][:3], "#009E73") and band.get_alpha() < 0.5
    assert labels(ax) == ("$x$", "$f(x)$") and legend(ax) == ["limit"]
    assert plots.gaussian_band(ax, X, quantiles, ls=":", lw=1)[1].get_linestyle() == ":"


def test_a_band_takes_what_quantiles_gives(ax):
    g = nk.Gaussian(jnp.sin(X)[:, None], jnp.diag(X**2))
    _, line = plots.gaussian_band(ax, X, nk.quantiles(g, jnp.asarray([0.1, 0.5, 0.9], X.dtype))[..., 0])
    assert line.get_ydata() == pytest.approx(np.sin(X), abs=1e-6)


@pytest.mark.parametrize("shape", [(9,), (2, 9), (9, 3), (3, 8), (3, 9, 1)])
def test_quantiles_that_are_none_are_refused(ax, shape):
    with refuses(ValueError, "quantiles", r"low, middle and high, \(3, M\)", r"Write quantiles\[..., 0\]"):
        plots.gaussian_band(ax, X, jnp.ones(shape))


def test_a_spectrum_falls_and_ends_where_rounding_begins(ax):
    values = np.array([1e-3, 4.0, 0.0, 1e-17, -1e-17, 0.5])
    line = plots.spectrum(ax, values, label="one", color="C1")
    assert line.get_xdata().tolist() == [1, 2, 3] and line.get_ydata().tolist() == [4, 0.5, 1e-3]
    assert ax.get_yscale() == "log" and line.get_linestyle() == "None" and line.get_marker() == "o"
    single = plots.spectrum(ax, jnp.asarray([1, 1e-3, 1e-7], "float32"), marker="x", ls=":")
    assert len(single.get_ydata()) == 2 and single.get_marker() == "x" and single.get_linestyle() == ":"
    assert labels(ax) == ("index $i$", r"eigenvalue $\lambda_i$") and legend(ax) == ["one"]
    assert not len(plots.spectrum(ax, np.zeros(3)).get_ydata())


def test_spectra_that_are_none_are_refused(ax):
    with refuses(ValueError, "eigenvalues", r"shape \(N,\)", "Draw several spectra one after another"):
        plots.spectrum(ax, jnp.ones((2, 3)))


def test_components_are_written_as_their_labels(ax):
    functions, digits = np.arange(20.0).reshape(5, 4), jnp.asarray([7, 3, 7, 0, 3])
    drawn = plots.components(ax, functions, digits, s=50)
    places = [marks.get_offsets().tolist() for marks in drawn]
    assert places == [[[13, 14]], [[5, 6], [17, 18]], [[1, 2], [9, 10]]]  # of 0, of 3 and of 7
    assert len({tuple(marks.get_facecolor()[0]) for marks in drawn}) == 3
    shapes = [marks.get_paths()[0].vertices.tolist() for marks in drawn]
    assert len({str(shape) for shape in shapes}) == 3 and all(marks.get_sizes() == [50] for marks in drawn)
    assert labels(ax) == ("component $f^{(2)}(x)$", "component $f^{(3)}(x)$")


def test_other_components_and_labels_that_are_words(ax):
    functions = np.arange(6.0).reshape(3, 2)
    first, second = plots.components(ax, functions, ["a", "b", "a"], indices=(2, 1))
    assert first.get_offsets().tolist() == [[1, 0], [5, 4]] and second.get_offsets().tolist() == [[3, 2]]
    assert labels(ax) == ("component $f^{(2)}(x)$", "component $f^{(1)}(x)$")


def test_components_that_do_not_fit_are_refused(ax):
    functions = jnp.ones((5, 3))
    for wrong in (jnp.ones(4), jnp.ones((5, 1))):
        with refuses(ValueError, "labels", "one per row of functions", r"Write functions as \(points, components\)"):
            plots.components(ax, functions, wrong)
    with refuses(ValueError, "labels", "one per row of functions", "Write functions as"):
        plots.components(ax, functions[0], jnp.ones(3))
    for indices in ((0, 1), (3, 4)):
        with refuses(ValueError, "indices", "counted from 1 to 3", r"Write, for example, indices=\(2, 3\)"):
            plots.components(ax, functions, jnp.ones(5), indices=indices)


def test_labels_of_ones_own_stay(ax):
    ax.set(xlabel="mine", ylabel="my own")
    plots.trajectories(ax, X, CURVES)
    plots.gaussian_band(ax, X, CURVES)
    plots.spectrum(ax, jnp.ones(3))
    plots.components(ax, jnp.ones((5, 3)), jnp.ones(5, int))
    assert labels(ax) == ("mine", "my own")


def explorer(**changes):
    x = np.linspace(0, 1, 3)
    curves = np.array([[[0.0, 1, 2], [0, 2, 4]], [[0, 3, 6], [0, 5, 10]]])
    sliders = {"time t": ["0", "1"], "width <w>": ["2", "3"]}
    usual = {"sliders": sliders, "start": (1, 0), "readings": list("abcd"), "x_ticks": {"½": 0.5}}
    labels = {"x_label": "x", "y_label": "f(x)", "alt": "Straight lines through zero."}
    return plots.explorer("lines", x, **{"curves": curves} | usual | labels | changes)


def test_an_explorer_starts_with_the_chosen_curve_and_holds_them_all():
    drawn = explorer()
    shown = drawn._repr_mimebundle_()
    assert shown["image/svg+xml"] == drawn.svg and shown["text/plain"] == "Straight lines through zero."
    assert 'd="M60.0,290.0L340.0,212.0L620.0,134.0"' in drawn.svg  # 3 and 6 of 10, between the heights 290 and 30
    assert '<figcaption aria-live="polite">c</figcaption>' in drawn.html and "width &lt;w&gt;" in drawn.html
    held = json.loads(re.search(r'application/json">(.*?)</script>', drawn.html)[1])
    assert held["values"] == [["0", "1"], ["2", "3"]] and held["readings"] == list("abcd")
    assert [curve.split(",")[-1] for curve in held["curves"]] == ["238.0", "186.0", "134.0", "30.0"]
    assert "circle" not in drawn.svg and "dasharray" not in drawn.svg


def test_an_explorer_keeps_points_and_a_reference():
    drawn = explorer(points=[[0.5, -10.0], [1.0, 10.0]], reference=np.array([0.0, 5.0, 10.0]))
    assert re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn.svg) == [("340.0", "290.0"), ("620.0", "30.0")]
    assert 'stroke-dasharray="7 5" fill="none" d="M60.0,160.0L340.0,95.0L620.0,30.0"' in drawn.svg


def test_an_explorer_refuses_what_does_not_fit():
    with refuses(ValueError, "curves", "one axis per slider", "Write one curve and one reading"):
        explorer(readings=["a"])
    with refuses(ValueError, "points", "rows", "stack"):
        explorer(points=[0.5, 1.0])
    with refuses(ValueError, "points", "where the curves are", "stack"):
        explorer(points=[[2.0, 1.0]])
    with refuses(ValueError, "reference", "one value per entry of x", "Write the values"):
        explorer(reference=np.zeros(2))
    with refuses(ValueError, "curves", "finite", ""):
        explorer(curves=np.full((2, 2, 3), np.nan))
