"""The ledger of claims in the book's pages.

`{claim}` names a claim with its verdict and links to the cell that checks it and to its row of the ledger;
`{claims}` lists the claims of a chapter, `{ledger}` those of the whole book, `{ledger-totals}` counts them.
A code cell tagged `claim:<id>` becomes the target of these links. All of it is read at each build from sources.yml and
from the files <chapter>.claims.yml that lie beside the chapters.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

LEDGER_PAGE = "book/end/ledger"
ROOT = Path(__file__).parents[2]
VERDICTS = {
    "holds": "hold",
    "conditional": "hold under a condition",
    "corrected": "are corrected",
    "open": "are open",
}
KINDS = {
    "symbolic": "proved by computer algebra",
    "exact": "computed exactly",
    "numerical": "computed numerically",
    "experiment": "tested by an experiment",
}


class Link(nodes.Inline, nodes.TextElement):
    """A link to a place of another page, resolved when all pages are known."""


class ClaimRole(SphinxRole):
    """{claim}`id`: the verdict, linked to the checking cell, and the id, linked to the ledger."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        claims = self.env.ledger["claims"]
        if self.text not in claims:
            message = self.inliner.reporter.error(f"claim {self.text!r} is in no file *.claims.yml", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        return [badge(claims[self.text])], []


class ClaimsDirective(SphinxDirective):
    """{claims}: the claims of this chapter."""

    def run(self) -> list[nodes.Node]:
        here = [claim for claim in self.env.ledger["claims"].values() if claim["chapter"] == self.env.docname]
        return [rows(self, here)]


class LedgerDirective(SphinxDirective):
    """{ledger}: all claims, by source, with an empty place where the script puts the filters."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = [nodes.container(classes=["ledger-filters"])]
        for key, source in self.env.ledger["sources"].items():
            claims = [claim for claim in self.env.ledger["claims"].values() if claim["source"] == key]
            section = nodes.section(ids=[f"source-{key}"], classes=["ledger-source"])
            section += nodes.title("", "", *self.parse_inline(source["title"])[0])
            section += rows(self, claims, anchors=True)
            found.append(section)
        return found


class TotalsDirective(SphinxDirective):
    """{ledger-totals}: how many claims, and how many of each verdict."""

    def run(self) -> list[nodes.Node]:
        claims = self.env.ledger["claims"].values()
        counts = Counter(claim["verdict"] for claim in claims)
        verdicts = ", ".join(f"**{counts[v]}** {name}" for v, name in VERDICTS.items() if counts[v])
        return [
            nodes.paragraph(
                "",
                "",
                *self.parse_inline(f"**{len(claims)}** claims so far: {verdicts}.")[0],
            )
        ]


def badge(claim: dict[str, str]) -> nodes.inline:
    """The verdict and the id of a claim, as two links."""
    shown = nodes.inline(classes=["claim", f"verdict-{claim['verdict']}"])
    shown += Link("", claim["verdict"], page=claim["chapter"], anchor=f"check-{claim['id']}")
    shown += nodes.Text(" ")
    shown += Link(
        "",
        claim["id"],
        page=LEDGER_PAGE,
        anchor=f"claim-{claim['id']}",
        classes=["claim-id"],
    )
    return shown


def rows(directive: SphinxDirective, claims: list[dict[str, str]], anchors: bool = False) -> nodes.bullet_list:
    """One item per claim: place, statement, note, verdict, kind."""
    items = nodes.bullet_list(classes=["ledger"])
    for claim in claims:
        item = nodes.list_item(classes=[f"source-{claim['source']}", f"verdict-{claim['verdict']}"])
        if anchors:
            item["ids"].append(f"claim-{claim['id']}")
        head = nodes.paragraph(classes=["ledger-head"])
        source = "" if anchors else directive.env.ledger["sources"][claim["source"]]["short"] + ", "
        head += nodes.strong("", source + claim["where"])
        head += badge(claim)
        head += nodes.inline("", KINDS[claim["kind"]], classes=["ledger-kind"])
        item += head
        item += nodes.paragraph("", "", *directive.parse_inline(claim["statement"])[0])
        if claim.get("note"):
            item += nodes.paragraph(
                "",
                "",
                *directive.parse_inline(claim["note"])[0],
                classes=["ledger-note"],
            )
        items += item
    return items


def read_yaml(path: Path) -> Any:
    """The content of a file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_claims() -> list[dict[str, str]]:
    """All claims with the chapter that checks them, in the order of the book."""
    toc = read_yaml(ROOT / "_toc.yml")
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    files = [(chapter, ROOT / f"{chapter}.claims.yml") for chapter in chapters]
    return [claim | {"chapter": chapter} for chapter, path in files if path.exists() for claim in read_yaml(path)]


def load_ledger(app: Sphinx) -> None:
    """Load the ledger, and rebuild every page when it changed."""
    ledger = {
        "sources": read_yaml(ROOT / "book" / "sources.yml"),
        "claims": {claim["id"]: claim for claim in read_claims()},
    }
    app.env.ledger_changed = getattr(app.env, "ledger", None) != ledger
    app.env.ledger = ledger


def outdated(app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]) -> set[str]:
    """Every page shows verdicts."""
    return env.found_docs if env.ledger_changed else set()


def mark_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Give each checking cell its anchor and a line that says what it checks."""
    for cell in list(doctree.findall(nodes.container)):
        for tag in cell.get("cell_metadata", {}).get("tags", []):
            if tag.startswith("claim:") and (claim := app.env.ledger["claims"].get(tag.removeprefix("claim:"))):
                line = nodes.paragraph(ids=[f"check-{claim['id']}"], classes=["check-line"])
                line += [nodes.Text("Check: "), badge(claim)]
                cell.parent.insert(cell.parent.index(cell), line)


def resolve_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make links of the places."""
    for link in list(doctree.findall(Link)):
        page = link["page"]
        uri = "" if page == docname else app.builder.get_relative_uri(docname, page)
        reference = nodes.reference("", link.astext(), internal=True, refuri=f"{uri}#{link['anchor']}")
        reference["classes"] += link["classes"]
        link.replace_self(reference)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register roles, directives and events."""
    app.add_role("claim", ClaimRole())
    app.add_directive("claims", ClaimsDirective)
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("ledger-totals", TotalsDirective)
    app.add_js_file("book.js")
    app.connect("builder-inited", load_ledger)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-read", mark_cells)
    app.connect("doctree-resolved", resolve_links)
    return {"parallel_read_safe": True}
