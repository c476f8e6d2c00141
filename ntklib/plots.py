"""The book's pictures: one style, functions of an axis and arrays, and a figure with sliders that needs no server."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import product
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from ntklib import _checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection, PolyCollection
    from matplotlib.lines import Line2D

_HERE = Path(__file__).parent


def use_book_style() -> None:
    """Draw in the book's style: figures as SVG, the same bytes at every run."""
    import matplotlib.pyplot as plt
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    plt.style.use(_HERE / "book.mplstyle")
    set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None})


def kernel_on_circle(ax: "Axes", angles: Any, kernels: Any, **line: Any) -> "list[Line2D]":
    r"""Kernels $K(x_0, x)$ against the angle $\gamma$ of $x$, one line per kernel.

    Args:
        ax: The axis to draw on.
        angles: $\gamma$ in radians, (A,).
        kernels: One kernel, (A,), or several, (K, A).
        **line: Colours and styles for matplotlib's `plot`; a label is given to the first line only.

    Returns:
        The lines.

    Raises:
        ValueError: If kernels have not one value per angle.
    """
    lines = _lines(ax, angles, kernels, ("angles", "kernels"), line)
    ax.set_xlabel(r"angle $\gamma$")
    ax.set_xticks(np.pi * np.arange(-1, 1.5, 0.5), ["−π", "−π/2", "0", "π/2", "π"])
    return lines


def trajectories(ax: "Axes", t: Any, norms: Any, **line: Any) -> "list[Line2D]":
    r"""Norms $\|\cdot\|_{p^{in}}$ against the time t of training, one line per run.

    Args:
        ax: The axis to draw on.
        t: Times, learning rate times steps, (T,).
        norms: One run, (T,), or several, (K, T).
        **line: Colours and styles for matplotlib's `plot`; a label is given to the first line only.

    Returns:
        The lines.

    Raises:
        ValueError: If norms have not one value per time.
    """
    lines = _lines(ax, t, norms, ("t", "norms"), line)
    _label(ax, "time $t$ (learning rate × steps)", r"norm $\|\cdot\|_{p^{in}}$")
    return lines


def gaussian_band(ax: "Axes", x: Any, quantiles: Any, **line: Any) -> "tuple[PolyCollection, Line2D]":
    """A random function as three quantiles at every point: the middle one as a line on the band of the others.

    Args:
        ax: The axis to draw on.
        x: Places of the points on the x axis, in order, (M,).
        quantiles: Low, middle and high, (3, M): for one output, `quantiles(g, jnp.array([0.1, 0.5, 0.9]))[..., 0]`.
        **line: Colour, label and style of the line for matplotlib's `plot`, dashed by default; the band has its colour.

    Returns:
        The band and the line.

    Raises:
        ValueError: If quantiles are not three curves with one value per point.
    """
    x, quantiles = np.asarray(x), np.asarray(quantiles)
    if x.ndim != 1 or quantiles.shape != (3, len(x)):
        raise ValueError(
            f"quantiles must be low, middle and high, (3, M) for x of shape (M,): got shapes {quantiles.shape} and "
            f"{x.shape}. Write quantiles[..., 0] for the first output."
        )
    low, middle, high = quantiles
    line = {"ls": "--", "lw": 2.5, **line}
    (middle_line,) = ax.plot(x, middle, **line)
    band = ax.fill_between(x, low, high, color=middle_line.get_color(), alpha=0.25, linewidth=0)
    _label(ax, "$x$", "$f(x)$")
    return band, middle_line


def spectrum(ax: "Axes", eigenvalues: Any, **marks: Any) -> "Line2D":
    r"""Eigenvalues $\lambda_i$ from the largest on, against i, on a logarithmic scale.

    Args:
        ax: The axis to draw on.
        eigenvalues: $\lambda_i$ in any order, (N,). Rounded zeros, up to $4 \sqrt N \varepsilon \lambda_1$, stay out.
        **marks: Colour, label and marker for matplotlib's `plot`.

    Returns:
        The line of the marks.

    Raises:
        ValueError: If eigenvalues are not (N,).
    """
    eigenvalues = np.asarray(eigenvalues)
    if eigenvalues.ndim != 1:
        raise ValueError(
            f"eigenvalues must have shape (N,): got {eigenvalues.shape}. Draw several spectra one after another."
        )
    falling = np.sort(eigenvalues.astype(np.result_type(eigenvalues, np.float32)))[::-1]
    sure = falling[falling > _checks.rounding(falling)] if len(falling) else falling
    marks = {"marker": "o", "ls": "none", "ms": 4, **marks}
    (line,) = ax.plot(np.arange(1, len(sure) + 1), sure, **marks)
    ax.set_yscale("log")
    _label(ax, "index $i$", r"eigenvalue $\lambda_i$")
    return line


def components(
    ax: "Axes", functions: Any, labels: Any, *, indices: tuple[int, int] = (2, 3), **marks: Any
) -> "list[PathCollection]":
    r"""Data points at their values of two kernel principal components $f^{(i)}$, written as their labels.

    Args:
        ax: The axis to draw on.
        functions: $f^{(i)}(x_j)$ in columns, (N, N) or the first of them.
        labels: A label for each point, (N,), of at most a few letters.
        indices: Which components, counted from 1, run across and up.
        **marks: Sizes and styles for matplotlib's `scatter`.

    Returns:
        The marks, one collection per label.

    Raises:
        ValueError: If there is not one label per point, or no such component.
    """
    functions, labels = np.asarray(functions), np.asarray(labels)
    if functions.ndim != 2 or labels.shape != functions.shape[:1]:
        raise ValueError(
            f"labels must be one per row of functions: got shapes {labels.shape} and {functions.shape}. "
            "Write functions as (points, components)."
        )
    if not all(1 <= i <= functions.shape[1] for i in indices):
        raise ValueError(
            f"indices must be counted from 1 to {functions.shape[1]}, the number of components: got {indices}. "
            "Write, for example, indices=(2, 3)."
        )
    across, up = (functions[:, i - 1] for i in indices)
    drawn = []
    for k, label in enumerate(np.unique(labels)):
        style = {"marker": f"${label}$", "color": f"C{k}", "s": 30, **marks}
        drawn.append(ax.scatter(across[labels == label], up[labels == label], **style))
    _label(ax, *(f"component $f^{{({i})}}(x)$" for i in indices))
    return drawn


def _lines(ax: "Axes", x: Any, y: Any, names: tuple[str, str], style: dict[str, Any]) -> "list[Line2D]":
    """One or several curves y over x, both called by their names in messages."""
    x, y = np.asarray(x), np.atleast_2d(np.asarray(y))
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x):
        raise ValueError(
            f"{names[1]} must have one value per entry of {names[0]}: got shapes {y.shape} and {x.shape}. "
            f"Write {names[1]} of shape (A,) or (K, A) for {names[0]} of shape (A,)."
        )
    label = style.pop("label", None)
    lines = ax.plot(x, y.T, **style)
    lines[0].set_label(label)
    return lines


def _label(ax: "Axes", x: str, y: str) -> None:
    """Label the axes where they have no label yet."""
    ax.set_xlabel(ax.get_xlabel() or x)
    ax.set_ylabel(ax.get_ylabel() or y)


class Explorer:
    """A figure with sliders over precomputed curves; HTML and script alone, and a still picture elsewhere."""

    def __init__(self, html: str, svg: str, description: str) -> None:
        """Keep the figure as HTML, as a still picture and as a sentence."""
        self.html, self.svg, self.description = html, svg, description

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "image/svg+xml": self.svg, "text/plain": self.description}


def explorer(
    name: str,
    x: Any,
    curves: Any,
    *,
    sliders: Mapping[str, Sequence[str]],
    start: Sequence[int],
    readings: Sequence[str],
    x_ticks: Mapping[str, float],
    x_label: str,
    y_label: str,
    alt: str,
    points: Any = None,
    reference: Any = None,
) -> Explorer:
    """A curve that follows one or more sliders, without a kernel, a library or an outside file.

    Args:
        name: Of the figure, in letters and hyphens, once a page.
        x: Where the curves are given, (A,).
        curves: One curve for each choice of the sliders, (values of the first, values of the second, …, A).
        sliders: Label and printed values of each slider.
        start: Position of each slider at first.
        readings: A sentence for each choice, in the order of the curves.
        x_ticks: Labels and places of the ticks on the x axis.
        x_label: Label of the x axis.
        y_label: Label of the y axis.
        alt: What the figure shows, for those who do not see it.
        points: Dots that stay, such as the data, (M, 2).
        reference: A dashed curve that stays, such as a limit, (A,).

    Returns:
        An object that a notebook shows.

    Raises:
        ValueError: If the curves do not fit the sliders, or the points or the reference do not fit the curves.
    """
    x, curves = np.asarray(x), np.asarray(curves)
    choices = tuple(len(values) for values in sliders.values())
    if curves.shape != (*choices, len(x)) or len(readings) != np.prod(choices) or len(start) != len(choices):
        raise ValueError(
            f"curves must have one axis per slider and one for x, {(*choices, len(x))}: got {curves.shape}, "
            f"{len(readings)} readings and {len(start)} starts. Write one curve and one reading for each choice."
        )
    points = np.zeros((0, 2)) if points is None else np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or ((points[:, 0] < x.min()) | (points[:, 0] > x.max())).any():
        raise ValueError(
            f"points must be rows (x, y) with x where the curves are: got shape {points.shape}. "
            "Write jnp.stack([x, y], axis=1)."
        )
    dashed = np.zeros(0) if reference is None else np.asarray(reference)
    if reference is not None and dashed.shape != x.shape:
        raise ValueError(
            f"reference must have one value per entry of x, {x.shape}: got shape {dashed.shape}. "
            "Write the values of the dashed curve at x."
        )
    _checks.finite(curves, "curves")
    frame = _Frame(x, np.concatenate([curves.ravel(), points[:, 1], dashed]))
    fixed = frame.fixed(x, dashed, points)
    paths = [frame.path(x, curves[i]) for i in product(*map(range, choices))]
    first = int(np.ravel_multi_index(tuple(start), choices))
    svg = frame.svg(paths[first], fixed, x_ticks, x_label, y_label, alt)
    inputs = "\n".join(
        f'<label><span>{escape(label)}</span><input type="range" min="0" max="{len(values) - 1}" step="1" '
        f'value="{position}"><output></output></label>'
        for (label, values), position in zip(sliders.items(), start, strict=True)
    )
    data = {"values": [list(values) for values in sliders.values()], "curves": paths, "readings": list(readings)}
    html = Template((_HERE / "explorer.html").read_text(encoding="utf-8")).substitute(
        id=f"explorer-{name}",
        svg=svg,
        sliders=inputs,
        reading=escape(readings[first]),
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
    )
    return Explorer(html, svg, alt)


class _Frame:
    """The picture's coordinates: 640 by 340 units, with room for the labels."""

    left, right, top, bottom = 60, 620, 30, 290

    def __init__(self, x: np.ndarray, heights: np.ndarray) -> None:
        self.x_range = float(x.min()), float(x.max())
        self.y_ticks = _round_ticks(min(0.0, float(heights.min())), float(heights.max()))
        self.y_range = self.y_ticks[0], max(self.y_ticks[-1], float(heights.max()))

    def across(self, x: float) -> str:
        low, high = self.x_range
        return f"{self.left + (self.right - self.left) * (x - low) / (high - low):.1f}"

    def up(self, y: float) -> str:
        low, high = self.y_range
        return f"{self.bottom - (self.bottom - self.top) * (y - low) / (high - low):.1f}"

    def path(self, x: np.ndarray, y: np.ndarray) -> str:
        return "M" + "L".join(f"{self.across(a)},{self.up(b)}" for a, b in zip(x, y, strict=True))

    def fixed(self, x: np.ndarray, dashed: np.ndarray, points: np.ndarray) -> str:
        line = '<path class="reference" stroke="gray" stroke-width="2" stroke-dasharray="7 5" fill="none" d="{}"/>'
        dots = [f'<circle cx="{self.across(a)}" cy="{self.up(b)}" r="6" fill="#d55e00"/>' for a, b in points]
        return (line.format(self.path(x, dashed)) if len(dashed) else "") + "".join(dots)

    def svg(self, path: str, fixed: str, x_ticks: Mapping[str, float], x_label: str, y_label: str, alt: str) -> str:
        rows = [
            f'<path class="tick" stroke="gray" d="M{self.left},{self.up(y)}H{self.right}"/>'
            f'<text x="{self.left - 8}" y="{self.up(y)}" dy=".35em" text-anchor="end">{y:g}</text>'
            for y in self.y_ticks
        ]
        columns = [
            f'<text x="{self.across(x)}" y="{self.bottom + 20}" text-anchor="middle">{escape(label)}</text>'
            for label, x in x_ticks.items()
        ]
        middle = (self.left + self.right) / 2
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 340" role="img" aria-label="{escape(alt)}">'
            f'<path class="frame" stroke="gray" fill="none" d="M{self.left},{self.top}V{self.bottom}H{self.right}"/>'
            f"{''.join(rows)}{''.join(columns)}"
            f'<text x="{self.left}" y="18">{escape(y_label)}</text>'
            f'<text x="{middle}" y="{self.bottom + 44}" text-anchor="middle">{escape(x_label)}</text>'
            f'<path class="curve" stroke="#0072b2" stroke-width="3" fill="none" d="{path}"/>{fixed}</svg>'
        )


def _round_ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** np.floor(np.log10(high - low))
    step *= next(f for f in (0.1, 0.2, 0.25, 0.5, 1, 2) if (high - low) / (f * step) <= 6)
    return [round(k * step, 10) for k in range(int(np.floor(low / step)), int(np.floor(high / step + 1e-9)) + 1)]
