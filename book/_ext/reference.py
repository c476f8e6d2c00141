"""Docstrings of `ntklib` hold $TeX$ and `names`: show them as formulas and code in the reference."""

import re

from sphinx.application import Sphinx


def to_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn $…$ into a formula and `…` into code."""
    text = "\n".join(lines)
    text = re.sub(r"(?<![`:])`([^`\n]+)`(?!`)", r"``\1``", text)
    text = re.sub(r"\$([^$]+)\$", lambda formula: f":math:`{' '.join(formula[1].split())}`", text)
    lines[:] = text.split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", to_rst, priority=400)
    return {"parallel_read_safe": True}
