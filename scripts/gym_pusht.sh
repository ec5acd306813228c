#!/usr/bin/env bash
# Create .gym-pusht, a Python that has gym-pusht, for `make bench-gym-pusht` and `make bench-push-t`. It needs an older
# pymunk than others do. It takes some 400 MB; where it cannot be had, this says so and what needs it does without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.1.8

if .gym-pusht/bin/python -c "import gym_pusht" 2>/dev/null; then exit 0; fi
rm -rf .gym-pusht
python3 -m venv .gym-pusht
if ! .gym-pusht/bin/python -m pip install --disable-pip-version-check -q "gym-pusht==$version" "pymunk<7"; then
  echo "gym-pusht: cannot install gym-pusht $version here" >&2
  rm -rf .gym-pusht
fi
