#!/usr/bin/env bash
# Make .lerobot, a Python that has LeRobot itself, for `make test-lerobot` and its test. Its pins of torch and torchvision
# do not go together with ours. It takes some 8 GB, so that all checkouts of a user share one; --cached: install nothing.
# Where it cannot be had, this says so and the test skips.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.4.4 # the last one that takes Python 3.11
shared="${XDG_CACHE_HOME:-$HOME/.cache}/isthmus/lerobot-$version"

if ! "$shared/bin/python" -c "import lerobot.datasets.lerobot_dataset" 2>/dev/null; then
  if [ "${1:-}" = --cached ]; then exit 0; fi
  rm -rf "$shared"
  python3 -m venv "$shared"
  if ! "$shared/bin/python" -m pip install --disable-pip-version-check -q "lerobot==$version"; then
    echo "lerobot: cannot install LeRobot $version here" >&2
    rm -rf "$shared"
    exit 0
  fi
fi
rm -rf .lerobot
ln -s "$shared" .lerobot
