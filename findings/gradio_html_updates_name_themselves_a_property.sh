#!/usr/bin/env bash
# gradio 6.31.0, gr.HTML with properties of its own.
# Guess: gr.skip() sends nothing, and gr.update(lang="zh") the property that changes.
# Seen: both send the mark of an update as one more property of the component, "__type__"; the
#   other properties are not sent, so a page that has not drawn the component yet has the mark
#   alone.
# Output:
#   update {'__type__': 'update', 'lang': 'zh'}
#   skip   {'__type__': 'update'}
#   drawn  {'form': 'eval', 'lang': 'en'}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gradio==6.31.0
GRADIO_ANALYTICS_ENABLED=False "$folder/venv/bin/python" - <<'PYTHON'
import gradio as gr
from starlette.testclient import TestClient

with gr.Blocks() as page:
    box = gr.HTML("<b>text</b>", form="eval", lang="en")
    button = gr.Button()
    button.click(lambda: gr.update(lang="zh"), None, box, queue=False)
    button.click(lambda: gr.skip(), None, box, queue=False)
client = TestClient(gr.routes.App.create_app(page))
seen = {}
for index, name in enumerate(("update", "skip")):
    body = {"fn_index": index, "data": [], "session_hash": "a"}
    answer = client.post("/gradio_api/run/predict", json=body).json()
    seen[name] = dict(sorted(answer["data"][0]["props"].items()))
seen["drawn"] = box.get_config()["props"]
for name, properties in seen.items():
    print(f"{name:6} {properties}")
mark = {"__type__": "update"}
assert seen == {"update": {**mark, "lang": "zh"}, "skip": mark, "drawn": box.props}, seen
PYTHON
