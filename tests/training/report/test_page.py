"""Pages show text of users as text, need nothing from elsewhere, and work in a browser."""

import json
import shutil
from pathlib import Path

import pytest
from reports import HOSTILE, PLOTS, Page


def test_text_of_users_is_text(reported: Path) -> None:
    page = Page(reported / "out/FF01-SchNet/report.html")
    assert HOSTILE in page.text
    assert len(page.all("script")) == 2
    assert len(page.all("img")) == len(PLOTS)
    assert "alert(1)" not in "".join(page.scripts)
    assert json.loads(page.scripts[0])["frames"]


def test_nothing_of_the_page_is_elsewhere(reported: Path) -> None:
    page = Page(reported / "out/FF01-SchNet/report.html")
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            if name in attributes:
                assert str(attributes[name]).startswith(("data:", "#")), (tag, attributes)
    assert "default-src 'none'" in str(page.all("meta"))


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_page_in_a_browser(reported: Path) -> None:
    """No error, no request, every picture is there, and the 3D views turn, zoom and change their colours."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    troubles: list[str] = []
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(dialog.message))
        address = (reported / "out/FF01-SchNet/report.html").as_uri()
        page.on("request", lambda r: troubles.append(r.url) if not r.url.startswith((address, "data:")) else None)
        page.goto(address)
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == len(PLOTS)
        assert min(widths) > 0
        canvas = page.locator("canvas").first
        canvas.scroll_into_view_if_needed()

        def pixels() -> str:
            page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            return str(canvas.evaluate("canvas => canvas.toDataURL()"))

        seen = [pixels()]
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 160, box["y"] + 130, steps=4)
        page.mouse.up()
        seen.append(pixels())
        page.mouse.wheel(0, -200)
        page.wait_for_timeout(100)
        seen.append(pixels())
        canvas.press("ArrowLeft")
        seen.append(pixels())
        canvas.press("-")
        seen.append(pixels())
        page.get_by_label("element", exact=True).check()
        seen.append(pixels())
        assert page.locator("#key-element").is_visible()
        assert not page.locator("#key-error").is_visible()
        page.get_by_label("error of force").check()
        canvas.press("0")
        # as it was at first; all others were different
        assert pixels() == seen[0]
        assert len(set(seen)) == len(seen)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        browser.close()
    assert troubles == []
