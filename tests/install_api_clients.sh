#!/bin/sh
# Real clients of the API for tests/backend/test_api_clients.py, in .api_clients/; nothing is done where they are there,
# and where they cannot be fetched the tests skip. They want other versions of packages that are installed here already,
# hence a place of their own, which sees what is installed here behind its own packages.
cd "$(dirname "$0")/.." || exit
clients="lm-eval==0.4.13 litellm==1.110.2 langchain-openai==1.7.4"
python=.api_clients/bin/python
installed=.api_clients/installed.txt
test "$(cat $installed 2>/dev/null)" = "$clients" && exit 0
site() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
install() {
    echo "The API's clients for its tests ($clients): a minute or two, 0.4 GB."
    # shellcheck disable=SC2086
    .venv/bin/python -m venv --clear .api_clients \
        && site .venv/bin/python >"$(site $python)/worker.pth" \
        && $python -m pip install --quiet --no-compile --disable-pip-version-check $clients \
        && echo "$clients" >$installed
}
install || echo "tests/install_api_clients.sh: the API's clients could not be installed now; their tests skip." >&2
