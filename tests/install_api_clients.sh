#!/bin/sh
# Real clients of the API for tests/backend/test_api_clients.py, in .api_clients/; without it they skip.
# They want other versions of packages that are installed here already, hence a place of their own, which
# sees what is installed here behind its own packages.
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
"$python" -m venv .api_clients
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$(.api_clients/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$packages" > "$own/worker.pth"
.api_clients/bin/pip install --quiet litellm==1.110.2 langchain-openai==1.7.4 lm-eval==0.4.13
