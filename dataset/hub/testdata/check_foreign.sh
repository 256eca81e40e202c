#!/bin/sh
# Installs huggingface_hub into a fresh virtual environment and runs the test
# that compares caches with it. Needs Python 3 and a package index.
set -eu
cd "$(dirname "$0")/.."
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet huggingface_hub==0.36.0
BOREA_HUB_PYTHON="$venv/bin/python" go test -count=1 -run TestAgainstHuggingFaceHub -v .
