#!/usr/bin/env bash
# gradio 6.31.0, launch(css=...); read in Chromium with playwright 1.65.2.
# Guess: CSS that a browser takes from a <style> holds on the page, too.
# Seen: the page writes the rules anew, each selector with .gradio-container before it, which it
#   splits at commas, those within :has() too. Of rules within @media it keeps no other writing, so
#   that there such lists are lost, and rules for .gradio-container itself. @supports, @container
#   and @layer are lost with all that is in them.
# Output:
#   rule                                as css=   in <style>
#   .probe                              holds     holds
#   .box:has(> .other, > .probe)        holds     holds
#   @media .probe                       holds     holds
#   @media .box:has(> .other, > .probe) lost      holds
#   @media .gradio-container            lost      holds
#   @supports .probe                    lost      holds
#   @layer .probe                       lost      holds
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gradio==6.31.0 playwright==1.65.2
chromium=$(command -v chromium || command -v google-chrome) || {
  PLAYWRIGHT_BROWSERS_PATH="$folder" "$folder/venv/bin/playwright" install chromium >/dev/null
  chromium=$(find "$folder" -type f -name chrome | head -n 1)
}
GRADIO_ANALYTICS_ENABLED=False "$folder/venv/bin/python" - "$chromium" <<'PYTHON'
import sys

import gradio as gr
from playwright.sync_api import sync_playwright

RULES = {
    ".probe": ".probe { --r0: 1 }",
    ".box:has(> .other, > .probe)": ".box:has(> .other, > .probe) { --r1: 1 }",
    "@media .probe": "@media (min-width: 1px) { .probe { --r2: 1 } }",
    "@media .box:has(> .other, > .probe)": (
        "@media (min-width: 1px) { .box:has(> .other, > .probe) { --r3: 1 } }"
    ),
    "@media .gradio-container": "@media (min-width: 1px) { .gradio-container { --r4: 1 } }",
    "@supports .probe": "@supports (color: red) { .probe { --r5: 1 } }",
    "@layer .probe": "@layer one { .probe { --r6: 1 } }",
}
READ = """element => [...Array(7).keys()].map(
  at => getComputedStyle(element).getPropertyValue(`--r${at}`) === "1")"""
sheet = "\n".join(RULES.values())
with gr.Blocks() as page:
    gr.HTML('<div class="box"><p class="probe">text</p></div>')
seen = {}
with sync_playwright() as play:
    browser = play.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    for place, look in {"as css=": {"css": sheet}, "in <style>": {}}.items():
        _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **look)
        opened = browser.new_page()
        opened.goto(address, timeout=120_000)
        probe = opened.locator(".probe")
        probe.wait_for(timeout=120_000)
        if not look:
            opened.add_style_tag(content=sheet)
        seen[place] = probe.evaluate(READ)
        page.close(verbose=False)
    browser.close()
print(f"{'rule':36}" + "   ".join(seen))
for rule, *holds in zip(RULES, *seen.values()):
    print(f"{rule:36}" + "".join(f"{'holds' if each else 'lost':10}" for each in holds).rstrip())
assert seen == {"as css=": [True] * 3 + [False] * 4, "in <style>": [True] * 7}, seen
PYTHON
