"""The dashboard with many frontends: first paint, and scrolling while much happens.

The server is this process, the browser Chromium without a window; both share this machine's cores.
Ends with 1 when a figure is missed. Needs a browser (`apt install chromium`).
"""

import gzip
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

import vpplb.telemetry
from lab.dashboard_server import SINCE, DashboardServer, shown_backend, shown_frontend
from vpplb.model.names import ObjectKind

FRONTENDS = int(os.environ.get("VPPLB_BENCH_FLEET", "1000"))
"""With ten backends each."""
SECONDS = float(os.environ.get("VPPLB_BENCH_STILL", "10"))
"""Of scrolling."""
RATE = 50
"""Transitions a second meanwhile; each changes a backend and a frontend."""
PAGE = Path(vpplb.telemetry.__file__).with_name("dashboard.html")

OBSERVE = """
window.long = [];
new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: "longtask", buffered: true});
"""
SCROLL = """
window.frames = 0;
let down = 1;
const step = () => {
    const at = document.scrollingElement;
    if (at.scrollTop + innerHeight >= at.scrollHeight - 2) down = -1;
    if (at.scrollTop <= 0) down = 1;
    at.scrollBy(0, 60 * down);
    window.frames += 1;
    requestAnimationFrame(step);
};
requestAnimationFrame(step);
"""
missed: list[str] = []


def show(what: str, measured: str, wanted: str, good: bool) -> None:
    print(f"  {what}: {measured}   (wanted: {wanted}{'' if good else '; MISSED'})", flush=True)
    if not good:
        missed.append(what)


def make_server() -> DashboardServer:
    objects = []
    for n in range(FRONTENDS):
        names = [f"b{n}-{member}" for member in range(10)]
        objects.append((ObjectKind.FRONTEND, shown_frontend(f"f{n}", dict.fromkeys(names, "up"))))
        objects += [(ObjectKind.BACKEND, shown_backend(name)) for name in names]
    return DashboardServer(*objects)


def fail(server: DashboardServer, number: int) -> None:
    """Have a backend of some frontend change, up to down or back."""
    n, state = number % FRONTENDS, "down" if (number // FRONTENDS) % 2 == 0 else "up"
    states = {f"b{n}-{member}": "up" for member in range(10)} | {f"b{n}-0": state}
    server.change(ObjectKind.BACKEND, shown_backend(f"b{n}-0", state))
    server.change(ObjectKind.FRONTEND, shown_frontend(f"f{n}", states))
    change = {"from": "up", "to": state, "at": SINCE, "code": "L4CON", "detail": "refused"}
    server.tell("transition", backend=f"shop/b{n}-0", **change, frontends=[f"shop/f{n}"])


def measure_load(page: Page, server: DashboardServer) -> None:
    page.add_init_script(OBSERVE)
    begun = time.perf_counter()
    page.goto(server.url)
    page.locator(".fold").first.wait_for()
    first = time.perf_counter() - begun
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    show("first paint", f"{paint / 1000:.2f} s", "1 s", paint < 1000)
    show("first frontends", f"{first:.2f} s", "1 s", first < 1)
    while page.locator(".fold").count() < FRONTENDS:
        page.wait_for_timeout(50)
    whole = time.perf_counter() - begun
    print(f"  all {FRONTENDS} frontends after {whole:.2f} s, tasks over 50 ms until then:", end=" ")
    print(", ".join(f"{one:.0f} ms" for one in page.evaluate("window.long")) or "none")


def measure_scrolling(page: Page, server: DashboardServer) -> None:
    page.evaluate("window.long = []")
    page.evaluate(SCROLL)
    begun, number = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < SECONDS:
        while number < spent * RATE:
            fail(server, number)
            number += 1
        page.wait_for_timeout(20)
    tasks, frames = page.evaluate("[window.long, window.frames]")
    longest = max(tasks, default=0.0)
    print(f"  {number / spent:.0f} transitions and {frames / spent:.0f} frames a second")
    show(
        "longest task while it scrolls",
        f"{longest:.0f} ms, {len(tasks)} over 50 ms" if tasks else "none over 50 ms",
        "50 ms",
        not tasks,
    )


def main() -> None:
    browser = shutil.which("chromium")
    assert browser, "no chromium: apt install chromium"
    print(f"on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{FRONTENDS} frontends with {10 * FRONTENDS} backends; server and browser share the cores"
    )
    packed = len(gzip.compress(PAGE.read_bytes()))
    show("the page, packed", f"{packed / 1000:.1f} kB", "60 kB", packed < 60_000)
    with make_server() as server, sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = window.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        measure_load(page, server)
        measure_scrolling(page, server)
        window.close()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
