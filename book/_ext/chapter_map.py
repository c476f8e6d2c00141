"""`{chapter-map}`: a picture of the chapters, with an arc from each to those it builds on.

What a chapter builds on are the links of its paragraph **You need**, so the map is always that of the text.
"""

import html
import json
import re
from itertools import pairwise
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ledger import ROOT, read_yaml

ROW, ARCS, WIDTH = 32, 62, 345


class Chapter(NamedTuple):
    """A chapter, the part it belongs to, and the chapters before it that it builds on."""

    page: str
    part: str
    title: str
    needs: tuple[str, ...]


def read_chapters() -> list[Chapter]:
    """The notebooks of the table of contents that teach, in the order of the book."""
    parts = read_yaml(ROOT / "_toc.yml")["parts"]
    pages = [(part["caption"], chapter["file"]) for part in parts for chapter in part["chapters"]]
    return [read_chapter(page, part) for part, page in pages if part != "End" and (ROOT / f"{page}.ipynb").exists()]


def read_chapter(page: str, part: str) -> Chapter:
    """Title and needs of one notebook."""
    notebook = json.loads((ROOT / f"{page}.ipynb").read_text(encoding="utf-8"))
    text = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    (title,) = re.findall(r"\A# (.+)$", text, re.MULTILINE)
    paragraph = re.search(r"^\*\*You need\*\*.*?(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([\w/.]+)\.ipynb\)", paragraph[0] if paragraph else "")
    folder = (ROOT / page).parent
    needs = tuple((folder / link).resolve().relative_to(ROOT).as_posix() for link in links)
    return Chapter(page, part, title, needs)


def picture(chapters: list[Chapter], address: dict[str, str]) -> str:
    """An SVG with one line for each chapter and part, and the arcs at the left."""
    y, lines, at = 6, [], {}
    for before, chapter in pairwise([None, *chapters]):
        if before is None or chapter.part != before.part:
            y += ROW
            lines.append(f'<text class="part" x="{ARCS}" y="{y}">{html.escape(chapter.part)}</text>')
        y += ROW
        at[chapter.page] = y
        lines.append(
            f'<a href="{address[chapter.page]}"><circle cx="{ARCS + 5}" cy="{y - 5}" r="5"/>'
            f'<text x="{ARCS + 18}" y="{y}">{html.escape(chapter.title)}</text></a>'
        )
    arcs = [(at[chapter.page] - 5, at[need] - 5) for chapter in chapters for need in chapter.needs]
    longest = max((low - high for low, high in arcs), default=1)
    lines += [arc(high, low, 10 + (ARCS - 4) * ((low - high) / longest) ** 0.6) for low, high in arcs]
    label = "Map of the chapters. " + " ".join(sentence(chapter, chapters) for chapter in chapters)
    return (
        f'<figure class="chapter-map"><svg viewBox="0 0 {WIDTH} {y + 14}" role="group" '
        f'aria-label="{html.escape(label)}">{"".join(lines)}</svg></figure>'
    )


def arc(high: int, low: int, reach: float) -> str:
    """A curve from a chapter down to one that builds on it."""
    x = ARCS - 2
    return f'<path d="M{x} {high} C{x - reach:.0f} {high} {x - reach:.0f} {low} {x} {low}"/>'


def sentence(chapter: Chapter, chapters: list[Chapter]) -> str:
    """What the arcs of a chapter say, in words."""
    titles = {other.page: other.title for other in chapters}
    needs = " and ".join(titles[need] for need in chapter.needs)
    return f"{chapter.title} builds on {needs}." if needs else f"{chapter.title} needs no other chapter."


class ChapterMap(SphinxDirective):
    """The map, with links to the chapters."""

    def run(self) -> list[nodes.Node]:
        """The picture; the page is built again when a chapter changes."""
        chapters = read_chapters()
        for chapter in chapters:
            self.env.note_dependency(str(ROOT / f"{chapter.page}.ipynb"))
        to_page = self.env.app.builder.get_relative_uri
        address = {chapter.page: to_page(self.env.docname, chapter.page) for chapter in chapters}
        return [nodes.raw("", picture(chapters, address), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("chapter-map", ChapterMap)
    return {"parallel_read_safe": True}
