#!/bin/sh
# A Chromium for the browser tests: the system's, else Debian's package (as root), else playwright's own.
set -e
command -v chromium >/dev/null 2>&1 && fc-list :lang=zh 2>/dev/null | grep -q . && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-cjk fontconfig >/dev/null
elif ! command -v chromium >/dev/null 2>&1; then
    .venv/bin/python -m playwright install chromium
fi
