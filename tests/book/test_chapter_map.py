"""The map of the chapters shows each of them once, and what a chapter needs comes before it."""

import re

from chapter_map import Chapter, picture, read_chapters
from contents import LESSONS

CHAPTERS = read_chapters()


def test_every_chapter_is_in_the_map():
    assert [chapter.page for chapter in CHAPTERS] == LESSONS


def test_what_a_chapter_needs_comes_before_it():
    for place, chapter in enumerate(CHAPTERS):
        assert set(chapter.needs) <= set(LESSONS[:place]), chapter.page
    assert any(chapter.needs for chapter in CHAPTERS)


def test_an_arc_leads_from_each_chapter_down_to_those_that_build_on_it():
    first = Chapter("a", "One", "A < B", ())
    second = Chapter("b", "One", "B", ("a",))
    third = Chapter("c", "Two", "C", ("a", "b"))
    drawn = picture([first, second, third], {"a": "a.html", "b": "b.html", "c": "c.html"})
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', drawn)]
    arcs = re.findall(r"M[\d.]+ ([\d.]+) C.* ([\d.]+)\"", drawn.replace("<path", "\n<path"))
    assert [(float(a), float(b)) for a, b in arcs] == [(heights[i], heights[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert re.findall(r'href="(\w)\.html"', drawn) == ["a", "b", "c"]
    assert "A &lt; B needs no other chapter. B builds on A &lt; B. C builds on A &lt; B and B." in drawn
    assert drawn.count('class="part"') == 2
