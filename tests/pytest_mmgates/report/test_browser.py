"""Pages in a real browser: Debian's chromium, at the widths of a desk and of a phone, in both colour schemes.

Each page stands in a frame of that width, and is measured from outside: it has no script of its own. Its
policy is taken out, so that nothing but the page itself keeps it from asking a network for something.
Screenshots are left in pytest's `--basetemp`.
"""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass

import matplotlib.image
import numpy as np
import pytest
import zstandard
from tests.pytest_mmgates.experiment.recorded import live
from tests.pytest_mmgates.experiment.test_report import reported
from tests.pytest_mmgates.report.changes import slow_from

from pytest_mmgates.loader import load
from pytest_mmgates.report.page import Banner, Table, facts_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on the path"),
]

MILLION = 1_000_000
LEAST_CONTRAST = 4.5
"""Of text: WCAG 2.2, 1.4.3."""

MEASURE = """
addEventListener("load", () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument, view = frame.contentWindow;
  const all = (selector, wanted) => [...page.querySelectorAll(selector)].filter(wanted);
  const parsed = color => (color.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = one => {
    for (let at = one; at; at = at.parentElement) {
      const color = parsed(view.getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
  };
  const contrast = one => {
    const style = view.getComputedStyle(one);
    const color = one instanceof view.SVGElement ? style.fill : style.color;
    const [a, b] = [light(parsed(color)), light(behind(one))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.textContent.trim().slice(0, 40)];
  };
  const hasText = one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const leaves = one => {
    const box = one.getBoundingClientRect();
    return box.left < -1 || box.right > view.innerWidth + 1;
  };
  const found = {
    width: view.innerWidth,
    scroll: page.documentElement.scrollWidth,
    height: page.documentElement.scrollHeight,
    wide: all("body *", leaves).map(one => one.outerHTML.slice(0, 80)),
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    asked: view.performance.getEntriesByType("resource").map(one => one.name),
    contrast: all("body *:not(title)", hasText).map(contrast).reduce((a, b) => a[0] < b[0] ? a : b),
    small: all("svg text", one => parseFloat(view.getComputedStyle(one).fontSize) < 12).length,
    outside: all(".chart text", leaves).map(one => one.textContent),
    label: page.querySelector(".label").getBoundingClientRect().bottom,
  };
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
});
"""


@dataclass(frozen=True)
class Browser:
    folder: object

    def look(self, name, page, width, *, dark):
        """What was measured of a page, and its picture as rows of colours."""
        scheme = "dark" if dark else "light"
        copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        framed = f'<iframe srcdoc="{html.escape(copy)}" width="{width}" style="border:0" height='
        head = "<!DOCTYPE html><style>:root{color-scheme:light dark} body{margin:0}</style>"
        outer = self.folder / f"{name}-{width}-{scheme}.html"
        outer.write_text(f"{head}<body>{framed}800></iframe><script>{MEASURE}</script>")
        told = self._run(outer, ["--dump-dom"], dark=dark)
        found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', told)[1]))
        height = min(found["height"], 12_000)
        outer.write_text(f"{head}<body>{framed}{height}></iframe>")
        picture = outer.with_suffix(".png")
        size = f"--window-size={max(width, 500)},{height}"
        self._run(outer, [size, f"--screenshot={picture}"], dark=dark)
        return found, matplotlib.image.imread(picture)[:, :width]

    @staticmethod
    def _run(page, arguments, *, dark):
        base = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        done = subprocess.run(
            [*base, scheme, *arguments, page.as_uri()],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout


@pytest.fixture
def browser(tmp_path):
    return Browser(tmp_path)


def million(directory, foreign_bot):
    """A run of 10^6 ticks, one of them slow, written row by row and compressed."""
    settings = {**foreign_bot.SETTINGS, "minutes": MILLION / 600, "tick_ms": 100, "fills": 500}
    fills = foreign_bot.fills({**settings, "tick_ms": 60_000})
    manifest = {
        **foreign_bot.manifest_of(settings, {"ticks": MILLION, "fills": len(fills)}),
        "run_id": "r1",
        "scenario": "demo",
    }
    foreign_bot.write_feeds(directory, {"fills": fills}, manifest)
    identity = {"run_id": "r1", "arm": "A", "data_kind": "synthetic"}
    with zstandard.open(directory / "pipeline_ticks_20231114.jsonl.zst", "wb") as file:
        for index in range(MILLION):
            row = {
                **identity,
                **foreign_bot.tick(settings, index, foreign_bot.START_NS + index * 100_000_000),
            }
            if index == 654_321:
                row["tick_total_ns"] = 9_000_000_000
            file.write(json.dumps(row).encode() + b"\n")
    return load(directory)


@pytest.fixture
def page(request, drawn_run, page_of, foreign_bot, tmp_path):
    """By name: nothing, one point, 10^6 points, a failure on names that are as long as names get, a stage of
    an experiment, and a page of facts.
    """
    match request.param:
        case "nothing":
            return page_of(drawn_run(stop_after=-1.0, fills=0))
        case "one":
            return page_of(drawn_run(stop_after=0.0, fills=0))
        case "million":
            page = page_of(million(tmp_path / "million", foreign_bot))
            assert "longest 9 s" in page
            return page
        case "failed":
            run = drawn_run(
                slow_from(20, 25),
                symbol="A" * 60,
                wait_ms=3,
                outages=[[40, 44]],
                minutes=65,
                clock="wall",
                kind="live",
            )
            return page_of(run, rerun="pytest -m shadow --mmgates-data=" + "long/" * 40)
        case "experiment":
            return reported(live(0.5), seen=False)[2]
    rows = [("FAIL", "clock", "x" * 200, "later than what is read was written")]
    return facts_page(
        Banner("prep", "FAIL", "FAIL", "clock"),
        [Table("Checks", ("verdict", "check", "found", "expected"), rows)],
    )


@pytest.mark.parametrize(
    "page", ["nothing", "one", "million", "failed", "experiment", "facts"], indirect=True
)
def test_a_page_is_seen_whole_at_every_width_and_in_both_schemes(page, browser, request):
    assert len(page) < MILLION
    for width in (1280, 390):
        for dark in (False, True):
            found, picture = browser.look(request.node.callspec.id, page, width, dark=dark)
            assert (found["width"], found["dark"]) == (width, dark)
            assert found["scroll"] <= width, found["wide"]
            assert found["asked"] == []
            assert found["contrast"][0] >= LEAST_CONTRAST, found["contrast"]
            assert (found["small"], found["outside"]) == (0, [])
            assert found["label"] < 400, "the verdict is not on the first screen"
            paper = picture[-1, 2, :3].mean()
            assert paper < 0.2 if dark else paper > 0.9
            drawn = np.ptp(picture[:, :, :3], axis=(1, 2)) > 0.1
            assert drawn.mean() > 0.2, "most of the picture is empty"


def test_the_measure_finds_what_is_wrong(browser):
    """Each of its numbers is worse on a page that has the fault."""
    faults = (
        '<p style="width:2000px">wide</p><p style="color:#aaa">faint</p><img src="http://127.0.0.1:9/x.png">'
    )
    text = '<text x="120%" y="20" style="font-size:9px">far and small</text>'
    faults += f'<svg class="chart" width="100%">{text}</svg>'
    page = facts_page(Banner("prep", "FAIL", "FAIL"), []).replace("<main>", f"<main>{faults}")
    found, _ = browser.look("faults", page, 390, dark=False)
    assert found["scroll"] > 390
    assert found["contrast"][0] < LEAST_CONTRAST
    assert (found["small"], found["outside"]) == (1, ["far and small"])
    assert found["asked"] == ["http://127.0.0.1:9/x.png"]
