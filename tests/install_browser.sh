#!/bin/sh
# What the browser tests need: a Chromium (the system's, else Debian's package as root, else
# playwright's own), and nginx and npm where they can be installed.
set -e
missing=
command -v chromium >/dev/null 2>&1 && fc-list :lang=zh 2>/dev/null | grep -q . \
    || missing="chromium fonts-noto-cjk fontconfig"
command -v nginx >/dev/null 2>&1 || test -x /usr/sbin/nginx || missing="$missing nginx-light"
command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"
test -z "$missing" && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
elif ! command -v chromium >/dev/null 2>&1; then
    .venv/bin/python -m playwright install chromium
fi
