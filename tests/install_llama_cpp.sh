#!/bin/sh
# A real llama.cpp for tests/backend/test_gguf.py, in .llama_cpp/ (85 MB); without it they skip.
set -e
cd "$(dirname "$0")/.."
release=3.22.1
case "$(uname -m)" in aarch64) machine=linux-arm64 ;; *) machine=linux-x64 ;; esac
# Its own choice would also bring the builds for GPUs, 600 MB.
npm install --prefix .llama_cpp --no-audit --no-fund --ignore-scripts --omit=optional \
  "node-llama-cpp@$release" "@node-llama-cpp/$machine@$release"
