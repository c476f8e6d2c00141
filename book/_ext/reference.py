"""Docstrings of `ntklib` hold $TeX$ and `names`, and say where they come from: show it all in the reference."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import ntklib
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def to_rst(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn $…$ into a formula and `…` into code."""
    lines[:] = as_rst("\n".join(lines)).split("\n")


def as_rst(text: str) -> str:
    """Formulas and code of a docstring as reStructuredText."""
    text = re.sub(r"(?<![`:])`([^`\n]+)`(?!`)", r"``\1``", text)
    return re.sub(r"\$([^$]+)\$", lambda formula: f":math:`{' '.join(formula[1].split())}`", text)


class Equations(SphinxDirective):
    """A table from the places in a source to the functions whose docstrings name them."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """One row for each place and function, in the order of the source."""
        rows = sorted(places(self.arguments[0]), key=lambda row: in_order(row[0]))
        table = [".. list-table::", "   :header-rows: 1", "   :widths: 20 80", "", "   * - Place", "     - Function"]
        for place, role, name, sentence in rows:
            table += [
                f"   * - {as_rst(place)}",
                f"     - :py:{role}:`~ntklib.{name}`",
                "",
                f"       {as_rst(sentence)}",
            ]
        box = nodes.container()
        self.state.nested_parse(StringList(table, source="equations"), self.content_offset, box)
        return box.children


def places(source: str) -> Iterator[tuple[str, str, str, str]]:
    """Place, role, name and first sentence of what is public and comes from the source."""
    for name in ntklib.__all__:
        thing = getattr(ntklib, name)
        described = inspect.isfunction(thing) or inspect.isclass(thing)
        text = inspect.getdoc(thing) if described else None
        for part in (text or "").partition("Source: ")[2].split("\n")[0].rstrip(".").split(" · "):
            if part.startswith(source):
                role = "func" if inspect.isfunction(thing) else "class"
                yield part.removeprefix(source).strip(), role, name, " ".join(text.split("\n\n")[0].split())


def in_order(place: str) -> list[tuple[int, int | str]]:
    """Chapters I, II, … and numbers by value, then words by their letters; a word before a chapter does not count."""
    roman = ["I", "II", "III", "IV", "V", "VI"]
    parts = re.findall(r"\d+|\w+", place)
    parts = parts[next((i for i, part in enumerate(parts) if part in roman), 0) :]
    return [(0, roman.index(p) if p in roman else int(p)) if p in roman or p.isdecimal() else (1, p) for p in parts]


def public_name(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """Resolve ntklib.<module>.<name>, as annotations write it, to the public ntklib.<name>."""
    match = re.fullmatch(r"ntklib\.\w+\.(\w+)", node.get("reftarget", ""))
    if not match or node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    name = f"ntklib.{match[1]}"
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Docstrings are turned before napoleon reads their sections."""
    app.add_directive("equations", Equations)
    app.connect("autodoc-process-docstring", to_rst, priority=400)
    app.connect("missing-reference", public_name)
    return {"parallel_read_safe": True}
