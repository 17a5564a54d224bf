"""JupyterLab in a real browser: started as `make notebooks` does it, 00 and 02 run to their end, and are looked at.

Needs the extra `notebooks`, Playwright, and Debian's chromium: apt-get install chromium. With NOTEBOOK_SCREENSHOTS=1
the pictures of docs/images are taken anew.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT

from workshop.embedded import Embedded

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}: apt-get install chromium"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: pip install playwright")
pytest.importorskip("jupyterlab", reason="JupyterLab is missing: pip install -e '.[notebooks]'")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Seconds for all of it, for JupyterLab to come up, and for a notebook to run.
STARTS_WITHIN, RUNS_WITHIN = 60, 240
#: How often Run All Cells is asked for.
TRIES = 5
#: A cell has run, runs or waits.
BEGUN = """() => {
    const shown = '.jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-InputPrompt';
    return [...document.querySelectorAll(shown)].some(prompt => /\\[(\\d+|\\*)\\]/.test(prompt.textContent));
}"""
#: All code cells have a number; a cell that runs or waits has a star.
ALL_DONE = """() => {
    const shown = '.jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-InputPrompt';
    const prompts = [...document.querySelectorAll(shown)];
    return prompts.length > 5 && prompts.every(prompt => /^\\[\\d+\\]:?$/.test(prompt.textContent.trim()));
}"""


def port_and_token(runtime: Path, process: subprocess.Popen) -> tuple[int, str]:
    """Where the server listens, by the file that it writes for its own tools."""
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, KeyError):
                server = json.loads(path.read_text(encoding="utf-8"))
                assert server["hostname"] == "127.0.0.1"
                return int(server["port"]), str(server["token"])
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not come up")


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of the notebooks, with an embedded AWS of its own: its URL, and its token."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copytree(ROOT / "docs/images", root / "docs/images")
    own = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")}
    environment = os.environ | own | {"WORKSHOP_STATE_DIR": str(tmp_path / "state"), "JUPYTER_DATA_DIR": str(tmp_path)}
    command = [sys.executable, ROOT / "tools/notebooks.py", "--lab", "--root", root, "--no-browser", "--allow-root"]
    command += ["--ServerApp.port=0", "--ServerApp.port_retries=0"]
    with (tmp_path / "lab.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield port_and_token(tmp_path / "jupyter_runtime_dir", process)
    finally:
        # JupyterLab ends its kernels on SIGTERM; the embedded AWS is no child of theirs.
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        Embedded(tmp_path / "state").stop()


@pytest.fixture
def page(tmp_path):
    """A page of a fresh browser."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=60_000)
        try:
            opened = browser.new_page(viewport={"width": 1320, "height": 1000}, device_scale_factor=1.5)
            opened.set_default_timeout(60_000)
            yield opened
            opened.screenshot(path=tmp_path / "page.png")
        finally:
            browser.close()


def run_all(page) -> None:
    """Run All Cells, by the menu, and wait until every cell has its number."""
    panel(page).locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    for _ in range(TRIES):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator("[data-command='runmenu:run-all']").click()
        # A notebook that was just opened may still be changing its kernel's session, and drops what it was asked for.
        with contextlib.suppress(playwright.TimeoutError):
            page.wait_for_function(BEGUN, timeout=5_000)
            break
    page.wait_for_function(ALL_DONE, timeout=RUNS_WITHIN * 1000)


def panel(page):
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")


def assert_whole(page, tables: int) -> None:
    """Tables and pictures are on the page, and no error is."""
    here = panel(page)
    assert here.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts() == []
    assert here.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts() == []
    assert here.locator("table.workshop").count() >= tables
    pictures = here.locator("img")
    sizes = [pictures.nth(n).evaluate("image => image.naturalWidth") for n in range(pictures.count())]
    # The architecture, and at least one plot.
    assert len(sizes) >= 2
    assert all(size > 600 for size in sizes), sizes


def look(page, name: str, first: str) -> None:
    """Take the picture for docs/images, beginning at a heading."""
    if not os.environ.get("NOTEBOOK_SCREENSHOTS"):
        return
    page.set_viewport_size({"width": 1320, "height": 1500})
    heading = panel(page).get_by_role("heading", name=first)
    heading.evaluate("heading => heading.scrollIntoView({block: 'start'})")
    page.mouse.move(5, 700)
    page.wait_for_timeout(1_000)
    page.screenshot(path=ROOT / f"docs/images/{name}.png")


def test_jupyterlab_runs_00_and_02(lab, page):
    port, token = lab
    assert token
    # Without the token nobody gets in.
    page.goto(f"http://127.0.0.1:{port}/lab")
    assert "login" in page.url
    # With it, 00 is open.
    page.goto(f"http://127.0.0.1:{port}/?token={token}")
    page.get_by_role("heading", name="The order backend").wait_for()
    assert page.url.endswith("/lab/tree/notebooks/00_overview.ipynb")
    run_all(page)
    assert_whole(page, tables=7)
    look(page, "notebook-00", "The idea that carries everything")

    page.goto(f"http://127.0.0.1:{port}/lab/tree/notebooks/02_dynamodb.ipynb")
    panel(page).get_by_role("heading", name="Step 2: the orders table").wait_for()
    run_all(page)
    assert_whole(page, tables=10)
    look(page, "notebook-02", "Check it")
