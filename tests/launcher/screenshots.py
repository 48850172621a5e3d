"""The dashboard and the reports in a real browser:   screenshots.py [--out DIR] [--runs FOLDER]

Trains two short runs on procedural rooms (or takes the runs below FOLDER), ships them to a real `mlflow server`,
opens report.html, the page that compares the runs, and MLflow's own pages in a headless Chromium, checks that runs,
curves and pictures are there, and keeps screenshots in DIR (build/screenshots; docs/ holds those that were looked at).
Ends with 77, loudly, where there is no browser.
"""

import argparse
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

from browser import Browser, find_browser
from program import ROOT, limewash
from tracking_test import mlflow_server

LARGEST = 300_000


def train_two_runs(work):
    """Two runs that differ in their learning rate; returns their folders."""
    for part, count, seed in (("train", 120, 11), ("validation", 16, 12)):
        rooms = work / f"{part}-rooms"
        limewash("synthesize", "--out", rooms, "--count", count, "--size", 128, "--seed", seed)
        limewash("prepare", "--images", rooms / "images", "--masks", rooms / "masks", "--out", work / part, "--size", 128)
    for name, rate in (("warm", "2.0e-3"), ("cautious", "4.0e-4")):
        settings = {
            "run.name": name, "run.output": work / "runs", "data.train": work / "train",
            "data.validation": work / "validation", "training.steps": 240, "optimizer.learning_rate": rate,
            "optimizer.warmup_steps": 12, "checkpoint.every": 60, "evaluation.every": 60, "evaluation.photos": 12,
            "evaluation.own_color": "true",
        }
        sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        limewash("launch", "--config", "configs/demo.yaml", *sets, timeout=1800)
    return [work / "runs" / name for name in ("warm", "cautious")]


def small_png(png, top=0, bottom=None):
    """A part of a screenshot, made smaller until the file is small. Its colours stay: they are what is looked at."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.crop((0, top, picture.width, min(bottom or picture.height, picture.height)))
    for scale in (1, 0.85, 0.7, 0.6, 0.5, 0.4):
        size = round(picture.width * scale), round(picture.height * scale)
        out = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
        if out.tell() < LARGEST:
            break
    return out.getvalue()


class Album:
    """Keeps screenshots and says what was found on each page."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, name, png, found, **part):
        data = small_png(png, **part)
        (self.folder / f"screenshot_{name}.png").write_bytes(data)
        print(f"  screenshot_{name}.png, {len(data) // 1000} kB: {found}", flush=True)


def expect(condition, what):
    if not condition:
        raise AssertionError(f"not on the page: {what}")


def page_facts(browser):
    """What a reader gets to see: charts, curves with a length, pictures that have decoded, and their text."""
    return browser.evaluate("""(() => ({
      charts: document.querySelectorAll('svg').length,
      curves: [...document.querySelectorAll('svg path.curve')].filter(p => p.getTotalLength() > 20).length,
      pictures: [...document.images].filter(i => i.complete && i.naturalWidth > 100).length,
      broken: [...document.images].filter(i => i.naturalWidth === 0).length,
      from_elsewhere: performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length,
      scrolls_sideways: document.documentElement.scrollWidth > innerWidth,
      text: document.body.innerText}))()""")


def check_report(browser, texts, least_curves):
    facts = page_facts(browser)
    for text in texts:
        expect(text in facts["text"], text)
    expect(facts["curves"] >= least_curves, f"{least_curves} curves, only {facts['curves']}")
    expect(facts["pictures"] > 0 and facts["broken"] == 0, f"whole pictures, {facts['broken']} are broken")
    expect(facts["from_elsewhere"] == 0, "nothing from elsewhere")
    expect(not facts["scrolls_sideways"], "a page as wide as the window")
    return f"{facts['charts']} charts, {facts['curves']} curves, {facts['pictures']} pictures, nothing from elsewhere"


def check_reports(browser, album, runs, comparison):
    browser.resize(1200, 1000)
    browser.open((runs[0] / "report.html").as_uri())
    found = check_report(browser, [runs[0].name, "By asked colour", "Worst and best"], 4)
    album.keep("report", browser.picture("main"), found, bottom=1900)

    browser.open(comparison.as_uri())
    names = [run.name for run in runs]
    found = check_report(browser, [*names, "Settings that differ", "optimizer.learning_rate", "Worst and best"], 8)
    whole = browser.picture("main")
    album.keep("compare", whole, found, bottom=1950)
    album.keep("compare_cases", whole, "by colour and lightness, worst and best", top=2440, bottom=4240)
    browser.prefer_dark(True)
    dark = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    expect(dark != "rgb(244, 245, 247)", "another background in the dark scheme")
    album.keep("compare_dark", browser.picture("main"), f"dark scheme, background {dark}", bottom=1250)
    browser.prefer_dark(False)
    expect(browser.printed().startswith(b"%PDF"), "a page that prints")
    browser.resize(400, 800)
    expect(not page_facts(browser)["scrolls_sideways"], "a page as wide as a telephone")


def check_dashboard(browser, album, uri, names):
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("limewash").experiment_id
    ids = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
    expect(sorted(ids) == sorted(names), f"the runs {names}")
    base = f"{uri}/#/experiments/{experiment}/runs"
    has = "document.body.innerText.includes"

    browser.resize(1500, 1250)
    browser.open(uri)
    # MLflow's page opens its assistant over a third of the window.
    browser.evaluate("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
                     "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    browser.open(f"{base}?compareRunsMode=CHART")
    browser.call("Page.reload")
    for name in names:
        browser.wait_for(f"{has}({json.dumps(name)})")
    browser.wait_for("document.querySelectorAll('.js-line').length >= 8")
    lines = browser.evaluate("document.querySelectorAll('.js-line').length")
    album.keep("mlflow_runs", settled(browser), f"both runs, {lines} curves")

    both = json.dumps(list(ids.values()), separators=(",", ":")).replace('"', "%22")
    browser.open(f"{uri}/#/compare-runs?runs={both}&experiments=[%22{experiment}%22]")
    browser.wait_for(f"{has}('Comparing 2 Runs')")
    browser.wait_for(f"{has}('optimizer.learning_rate')")
    album.keep("mlflow_compare", settled(browser), "the comparison of both runs")

    browser.resize(1500, 12000)  # charts beyond the window are not drawn
    browser.open(f"{base}/{ids[names[0]]}/model-metrics")
    browser.wait_for("document.querySelectorAll('.js-line').length >= 4")
    show_images(browser)
    width = browser.evaluate(f"Math.max(...{STEP_IMAGES}.map(i => i.naturalWidth))")
    album.keep("mlflow_images", settled(browser), f"a step image, {width} pixels wide")


def settled(browser):
    """The window once two pictures in a row are the same: charts draw themselves bit by bit."""
    before, deadline = None, time.monotonic() + 30
    while (now := browser.picture()) != before and time.monotonic() < deadline:
        before = now
        time.sleep(1)
    return now


STEP_IMAGES = "[...document.images].filter(i => i.src.includes('get-artifact?path=images'))"
CARD = "[data-testid='experiment-view-compare-runs-card']"


def show_images(browser):
    """The chart of step images in the full window, as it opens: at the first step."""
    title = "[...document.querySelectorAll('h4')].find(e => e.textContent.trim() === 'grid')"
    browser.wait_for(title)
    browser.evaluate(f"{title}.closest({json.dumps(CARD)}).querySelectorAll('button')[0].click()")
    browser.resize(1500, 1900)
    browser.wait_for(f"{STEP_IMAGES}.some(i => i.complete && i.naturalWidth > 100 && i.getBoundingClientRect().y < 1900)")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/screenshots")
    parser.add_argument("--runs", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.runs = arguments.runs and arguments.runs.resolve()
    if find_browser() is None:
        print("SKIPPED, loudly: no Chromium here, so no page was looked at in a browser.\n"
              "  Debian: apt-get install chromium", file=sys.stderr)
        return 77
    work = pathlib.Path(tempfile.mkdtemp(prefix="limewash-screenshots-"))
    try:
        if arguments.runs:
            runs = sorted((path.parent for path in arguments.runs.glob("*/summary.json")), reverse=True)
        else:
            runs = train_two_runs(work)
        comparison = work / "compare.html"
        limewash("runs", "compare", *runs, "--html", comparison)
        album = Album(arguments.out)
        with Browser() as browser:
            check_reports(browser, album, runs, comparison)
            with mlflow_server() as uri:
                limewash("runs", "replay", *runs, "--uri", uri)
                check_dashboard(browser, album, uri, [run.name for run in runs])
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
