"""The built site behind a small server, and one Chromium without network that reads it."""

import functools
import http.server
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get("SITE", ROOT / "_build/html")).resolve()
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
ONLY_THIS_MACHINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
KNOWN_ERROR = "Identifier 'THEBE_JS_URL' has already been declared"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def unavailable(sentence: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    warnings.warn(sentence, stacklevel=2)
    pytest.skip(sentence)


def pages_in(entry: dict) -> list[str]:
    here = [entry[key] for key in ("root", "file") if key in entry]
    children = [child for key in ("parts", "chapters", "sections") for child in entry.get(key, [])]
    return here + [page for child in children for page in pages_in(child)]


PAGES = pages_in(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
GENERATED = ["genindex", "prf-prf", "py-modindex", "search"]
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, values in (("page_name", [*PAGES, *GENERATED]), ("notebook", NOTEBOOKS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, scope="session")


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "index.html").exists():
        unavailable(f"No site in {SITE}: run `make book` first, then the tests of the site again.")
    return SITE


class Files(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        installed = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        executable = next(filter(None, installed), playwright.chromium.executable_path)
        if not Path(executable).exists():
            unavailable(
                "No Chromium found, so the site was not tested in a browser: "
                "get one with `apt-get install chromium` or `playwright install chromium`."
            )
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, ONLY_THIS_MACHINE])
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page and everything it complained about."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.complain("error", error.message))
        self.page.on("request", self.on_request)
        self.page.on("requestfailed", lambda request: self.complain("failed", request.url))
        self.page.on("response", self.on_response)

    def complain(self, kind: str, what: str) -> None:
        self.complaints.append(f"{kind}: {what}")

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complain("console", message.text)

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complain("another host", request.url)

    def on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.complain(str(response.status), response.url)

    def unknown_complaints(self) -> list[str]:
        return [complaint for complaint in self.complaints if complaint != f"error: {KNOWN_ERROR}"]

    def go(self, name: str) -> "Visit":
        self.complaints.clear()
        self.page.goto(f"{self.address}{name}")
        self.page.evaluate("() => window.MathJax?.startup?.promise?.then(() => document.fonts.ready).then(() => 1)")
        return self


@pytest.fixture(scope="session")
def desktop_context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(**DESKTOP, color_scheme="light", reduced_motion="reduce") as context:
        yield context


@pytest.fixture(scope="session")
def phone_context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(**PHONE, color_scheme="light", reduced_motion="reduce") as context:
        yield context


@pytest.fixture(scope="session")
def every_page_on_desktop(desktop_context: BrowserContext, address: str) -> Visit:
    return Visit(desktop_context.new_page(), address)


@pytest.fixture(scope="session")
def every_page_on_phone(phone_context: BrowserContext, address: str) -> Visit:
    return Visit(phone_context.new_page(), address)


@pytest.fixture(scope="session")
def on_desktop(every_page_on_desktop: Visit, page_name: str) -> Visit:
    return every_page_on_desktop.go(f"{page_name}.html")


@pytest.fixture(scope="session")
def on_phone(every_page_on_phone: Visit, page_name: str) -> Visit:
    return every_page_on_phone.go(f"{page_name}.html")


@pytest.fixture(scope="session")
def desktop_tab(desktop_context: BrowserContext, address: str) -> Visit:
    return Visit(desktop_context.new_page(), address)


@pytest.fixture(scope="session")
def phone_tab(phone_context: BrowserContext, address: str) -> Visit:
    return Visit(phone_context.new_page(), address)


@pytest.fixture
def desktop(desktop_tab: Visit) -> Iterator[Visit]:
    yield desktop_tab
    assert desktop_tab.unknown_complaints() == []


@pytest.fixture
def phone(phone_tab: Visit) -> Iterator[Visit]:
    yield phone_tab
    assert phone_tab.unknown_complaints() == []


@pytest.fixture(scope="module")
def chapter(desktop_context: BrowserContext, address: str) -> Page:
    return Visit(desktop_context.new_page(), address).go("book/ntk/deriving_the_ntk.html").page


@pytest.fixture(scope="module")
def ledger_page(desktop_context: BrowserContext, address: str) -> Page:
    return Visit(desktop_context.new_page(), address).go("book/end/ledger.html").page
