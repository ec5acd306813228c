#!/usr/bin/env bash
# Create .physx, a Python that has ovphysx, Isaac's PhysX without Isaac Sim, for the engine `physx`. It takes some 1.1 GB.
# Where it cannot be had, this says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# To the version: its tensor bindings are deprecated, and the next one may have none.
packages=(
  ovphysx==0.7.0.74035321
  physx-usd-schemas==25.11.2.72696984
  newton-usd-schemas==0.6.0
)

if .physx/bin/python -c "import ovphysx" 2>/dev/null; then exit 0; fi
echo "physx: ovphysx is NVIDIA's, under the NVIDIA Omniverse licence agreement, which is not this project's:"
echo "physx: https://docs.omniverse.nvidia.com/platform/latest/common/NVIDIA_Omniverse_License_Agreement.html"
if [[ ${PHYSX_LICENCE:-} != accepted ]]; then
  echo "physx: to install it under that licence: make setup-physx PHYSX_LICENCE=accepted" >&2
  exit 2
fi
rm -rf .physx
python3 -m venv .physx
if ! .physx/bin/python -m pip install --disable-pip-version-check -q numpy "${packages[@]}"; then
  echo "physx: cannot install ${packages[0]} here" >&2
  rm -rf .physx
  exit 1
fi
echo "physx: ready; isthmus-train quadruped --engine physx"
