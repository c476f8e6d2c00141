"""Docstrings of `ntklib` hold $TeX$ and `names`: show them as formulas and code in the reference."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def to_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn $…$ into a formula and `…` into code."""
    text = "\n".join(lines)
    text = re.sub(r"(?<![`:])`([^`\n]+)`(?!`)", r"``\1``", text)
    text = re.sub(r"\$([^$]+)\$", lambda formula: f":math:`{' '.join(formula[1].split())}`", text)
    lines[:] = text.split("\n")


def public_name(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """Resolve ntklib.<module>.<name>, as annotations write it, to the public ntklib.<name>."""
    match = re.fullmatch(r"ntklib\.\w+\.(\w+)", node.get("reftarget", ""))
    if not match or node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    name = f"ntklib.{match[1]}"
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", to_rst, priority=400)
    app.connect("missing-reference", public_name)
    return {"parallel_read_safe": True}
