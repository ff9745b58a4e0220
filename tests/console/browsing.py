"""Headless Chromium on the console: pages of a person, and what axe-core finds on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.console.scene import Scene

AXE = Path(__file__).parents[1] / "conformance/node/node_modules/axe-core/axe.min.js"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# a machine that builds something else beside the tests is slow, not wrong
expect.set_options(timeout=20_000)
# what somebody else may have written where a page shows it
HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>'
SERIOUS = {"serious", "critical"}
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def opened(
    browser: Browser,
    scene: Scene,
    *,
    name: str = "ann",
    role: str = "admin",
    viewport: dict[str, int] | None = None,
    scheme: Any = "light",
    path: str = "/backpack/",
) -> Iterator[Page]:
    """Yield the page as `name` sees it; what it asked for and complained of is checked at the end."""
    context = browser.new_context(viewport=viewport or DESKTOP, color_scheme=scheme)
    context.add_cookies(
        [{"name": "_token", "value": scene.token(name, role), "url": scene.airflow_url}]
    )
    page = context.new_page()
    foreign, complaints = [], []

    def is_foreign(url: str) -> bool:
        return url.startswith("http") and not url.startswith(scene.airflow_url)

    page.on(
        "request", lambda request: foreign.append(request.url) if is_foreign(request.url) else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    try:
        page.goto(f"{scene.airflow_url}{path}")
        yield page
        assert foreign == []
        assert [text for text in complaints if "Failed to load resource" not in text] == []
    finally:
        context.close()


def serious_faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with the elements."""
    page.evaluate(_axe())
    found = page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", STANDARDS
    )
    return [
        f"{fault['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@cache
def _axe() -> str:
    return AXE.read_text()
