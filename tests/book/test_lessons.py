"""Chapters hold what readers need, in the book's order: objectives, claims, a summary, exercises with solutions."""

import re

import pytest
from contents import LESSONS, text

pytestmark = pytest.mark.parametrize("chapter", LESSONS)


@pytest.mark.parametrize(
    "part", ["What this chapter checks", "You will be able to", "You need", "Reading:", "What to see"]
)
def test_says_what_readers_need(chapter, part):
    assert part in text(chapter)


@pytest.mark.parametrize("heading", ["The claims, revisited", "Summary", "Exercises", "Further reading"])
def test_ends_as_every_chapter(chapter, heading):
    assert f"## {heading}\n" in text(chapter)


def test_has_four_exercises_with_folded_solutions(chapter):
    source = text(chapter)
    labels = re.findall(r"^:::\{exercise\}.*\n:label: (\S+)", source, re.MULTILINE)
    solutions = re.findall(r"^:::\{solution\} (\S+)\n:label: \S+\n:class: dropdown", source, re.MULTILINE)
    assert len(labels) >= 4
    assert labels == solutions
    assert source.count("*By hand.*") >= 2
    assert source.count("*In code.*") >= 2
