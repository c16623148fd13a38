#!/bin/sh
# A real llama.cpp for tests/backend/test_gguf.py, in .llama_cpp/ (85 MB); nothing is done where it is there.
set -e
cd "$(dirname "$0")/.."
release=3.22.1
case "$(uname -sm)" in
  "Linux aarch64") machine=linux-arm64 ;;
  Linux*) machine=linux-x64 ;;
  *) echo "tests/install_llama_cpp.sh installs on Linux only; the tests with a real llama.cpp skip."; exit 0 ;;
esac
for package in node-llama-cpp "@node-llama-cpp/$machine"; do
  grep -qs "\"version\": \"$release\"" ".llama_cpp/node_modules/$package/package.json" || missing=yes
done
test -z "$missing" && exit 0
# Its own choice would also bring the builds for GPUs, 600 MB.
npm install --prefix .llama_cpp --no-audit --no-fund --ignore-scripts --omit=optional \
  "node-llama-cpp@$release" "@node-llama-cpp/$machine@$release"
