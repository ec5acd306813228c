#!/usr/bin/env bash
# Create .lerobot, a Python that has LeRobot itself, for `make test-lerobot`. Its pins of torch and torchvision do not go
# together with ours. It takes some 8 GB; where it cannot be had, this says so and make test-lerobot skips.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.4.4 # the last one that takes Python 3.11

if .lerobot/bin/python -c "import lerobot.datasets.lerobot_dataset" 2>/dev/null; then exit 0; fi
rm -rf .lerobot
python3 -m venv .lerobot
if ! .lerobot/bin/python -m pip install --disable-pip-version-check -q "lerobot==$version"; then
  echo "lerobot: cannot install LeRobot $version here" >&2
  rm -rf .lerobot
fi
