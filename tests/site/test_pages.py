"""Every page, on a desktop and on a phone: no complaint, nothing cut off, formulas shown, accessible to all."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "rules": {"color-contrast": {"enabled": False}}}
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
DEPRECATED_ROLES_OF_DOCUTILS = ["div.citation-list"]

SET_THEME = "theme => { document.documentElement.dataset.mode = document.documentElement.dataset.theme = theme }"
UNFOLD = """() => {
  document.querySelectorAll('button.toggle-button-hidden').forEach(button => button.click());
  document.querySelectorAll('details').forEach(fold => { fold.open = true });
  document.getAnimations().forEach(animation => animation.finish());
}"""
ONE_TEXT_OF_EACH_LOOK = """() => {
  const seen = new Set(), grounds = new Map([[null, '']]);
  const ground = (element) => {
    if (!grounds.has(element)) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(element);
      grounds.set(element, [backgroundColor, backgroundImage, opacity, ground(element.parentElement)].join());
    }
    return grounds.get(element);
  };
  for (const element of document.querySelectorAll('body *')) {
    element.removeAttribute('data-look');
    if (![...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) continue;
    if (!element.checkVisibility({visibilityProperty: true})) continue;
    const { color, fontSize, fontWeight, textDecorationLine } = getComputedStyle(element);
    const around = getComputedStyle(element.parentElement).color;
    const look = [color, fontSize, fontWeight, textDecorationLine, around, ground(element)].join();
    element.toggleAttribute('data-look', !seen.has(look));
    seen.add(look);
  }
}"""
UNRENDERED = """() => [...document.querySelectorAll('.math')]
  .filter(math => !math.querySelector('mjx-container'))
  .concat([...document.querySelectorAll('mjx-merror, [data-mjx-error]')])
  .map(math => math.textContent.slice(0, 80))"""
PROSE = """() => {
  const main = document.querySelector('main').cloneNode(true);
  main.querySelectorAll('pre, code, script, style, mjx-container').forEach(node => node.remove());
  return main.textContent;
}"""
IMAGES = """() => [...document.querySelectorAll('main img')]
  .map(img => ({src: img.src, alt: img.alt, loaded: img.complete && img.naturalWidth > 0}))"""
CUT_OFF = """() => [...document.querySelectorAll('main :not(mjx-assistive-mml)')]
  .filter(box => ['hidden', 'clip'].includes(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth + 1)
  .filter(box => box.clientWidth > 1 && box.checkVisibility({visibilityProperty: true}))
  .map(box => box.outerHTML.slice(0, 120))"""


def violations(page, rules, include="html"):
    page.evaluate(UNFOLD)
    context = {"include": [include], "exclude": DEPRECATED_ROLES_OF_DOCUTILS}
    options = {"resultTypes": ["violations"], "preload": False, **rules}
    found = Axe().run(page, context=context, options=options).response["violations"]
    return [f"{v['id']}: {node['target']} {node['failureSummary']}" for v in found for node in v["nodes"]]


def test_has_one_heading(on_desktop):
    headings = on_desktop.page.get_by_role("heading", level=1).all_text_contents()
    assert len(headings) == 1, headings


def test_formulas_are_rendered(on_desktop):
    assert on_desktop.page.evaluate(UNRENDERED) == []
    prose = on_desktop.page.evaluate(PROSE)
    assert [raw for raw in (r"\(", r"\[", "$$", r"\begin{") if raw in prose] == []


def test_images_are_loaded_and_described(on_desktop):
    for image in on_desktop.page.evaluate(IMAGES):
        assert image["loaded"], image
        assert image["alt"].strip(), image
        assert not re.search(r"\.(svg|png|jpe?g|gif|webp)$", image["alt"], re.IGNORECASE), image


def test_holds_no_message_of_the_build(on_desktop):
    assert on_desktop.page.locator(".problematic, .system-message").all_text_contents() == []


def test_is_accessible(on_desktop):
    assert violations(on_desktop.page, WCAG) == []


def test_is_accessible_on_a_phone(on_phone):
    assert violations(on_phone.page, WCAG) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_apart(on_desktop, theme):
    page = on_desktop.page
    page.evaluate(SET_THEME, theme)
    page.evaluate(UNFOLD)
    page.evaluate(ONE_TEXT_OF_EACH_LOOK)
    assert violations(page, COLOURS, include="[data-look], input, select") == []


def test_fits_the_phone(on_phone):
    width = on_phone.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"{width} px wide"
    assert on_phone.page.evaluate(CUT_OFF) == []


def test_formulas_are_rendered_on_a_phone(on_phone):
    assert on_phone.page.evaluate(UNRENDERED) == []


def test_loads_without_complaint(on_desktop):
    assert on_desktop.unknown_complaints() == []


def test_loads_without_complaint_on_a_phone(on_phone):
    assert on_phone.unknown_complaints() == []
