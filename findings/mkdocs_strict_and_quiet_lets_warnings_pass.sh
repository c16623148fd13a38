#!/usr/bin/env bash
# mkdocs 1.6.1, mkdocs build --strict --quiet.
# Guess: --quiet says less, and --strict still fails on a link to an anchor that is on no page.
# Seen: --quiet raises the level of the logger to ERROR, so that no warning reaches the handler with
#   which --strict counts them: the build exits with 0, here with validation.anchors at warn.
# Output:
#   --strict          1
#   --strict --quiet  0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mkdocs==1.6.1
mkdir "$folder/docs"
printf '# Home\n\nSee [below](#nowhere).\n' > "$folder/docs/index.md"
printf 'site_name: Links\nvalidation:\n  anchors: warn\n' > "$folder/mkdocs.yml"

# The exit code of a build with the given options.
build() {
    local code=0
    "$folder/venv/bin/mkdocs" build -f "$folder/mkdocs.yml" "$@" >/dev/null 2>&1 || code=$?
    echo "$code"
}

loud=$(build --strict)
quiet=$(build --strict --quiet)
printf '%-16s  %s\n' "--strict" "$loud" "--strict --quiet" "$quiet"
test "$loud $quiet" = "1 0"
