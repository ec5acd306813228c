#!/usr/bin/env bash
# Create .venv and install Isthmus into it. Called by `make setup`; safe to run again at any time.
# usage: scripts/setup.sh [jazzy|kilted|system]    which ROS 2: wheels from PyPI, or the distribution's own, sourced
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ros=${1:-jazzy}

# The one list of system packages (names of Debian and Ubuntu).
system_packages=(
  python3-venv    # Debian splits venv and ensurepip from python3
  libegl1         # rendering without a display
  libgl1-mesa-dri # Mesa's software renderer, llvmpipe: rendering without a GPU
  libopengl0      # the desktop OpenGL functions that MuJoCo draws with
)

bold=; plain=
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

missing_packages() {
  local name
  for name in "${system_packages[@]}"; do
    [[ $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) == *" installed" ]] || printf '%s ' "$name"
  done
}

install_system_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "Not a Debian or Ubuntu system: see to Python's venv, EGL and Mesa's software renderer yourself."
    return
  fi
  local missing as_root=()
  read -ra missing <<<"$(missing_packages)"
  ((${#missing[@]})) || return 0
  local install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if ((EUID != 0)); then as_root=(sudo -n); fi
  say "Installing system packages: ${missing[*]}"
  if ((EUID == 0)) || sudo -n true 2>/dev/null; then
    "${as_root[@]}" apt-get update -qq || true # an old index may still do
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" </dev/null && return 0
  fi
  say "Could not install them. Going on; videos (and the virtual environment) may need this command:"
  printf '\n    sudo %s\n\n' "${install[*]}"
}

# The first interpreter that can make a virtual environment and that every pinned wheel exists for.
find_python() {
  local names=(python3.11 python3.13 python3.12 python3.10 python3) name
  if [[ $ros == system ]]; then names=(python3); fi # rclpy is built for the distribution's Python
  for name in "${names[@]}"; do
    "$name" -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null || continue
    command -v "$name"
    return
  done
  die "no Python 3.10 to 3.13 with venv found. On Debian: sudo apt-get install python3 python3-venv"
}

make_environment() {
  if compgen -G ".venv/.ready-*" >/dev/null && [[ ! -e .venv/.ready-$ros ]]; then
    say "Another ROS 2 is installed in .venv: starting afresh (wheels of two distributions do not mix)"
    rm -rf .venv
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    local python
    python=$(find_python)
    say "Creating .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
  fi
}

extras() {
  if [[ $ros == system ]]; then
    say "Using the sourced ROS 2 ${ROS_DISTRO:-} instead of wheels" >&2
    .venv/bin/python -c 'import rclpy' || die "this Python cannot import rclpy: source /opt/ros/<distro>/setup.bash first"
    echo train,data,teleop,dev
  elif [[ $(uname -sm) == "Linux x86_64" ]]; then
    echo train,data,teleop,ros,dev
  else
    say "ROS 2 wheels exist for Linux x86_64 only: installing without them (source a ROS 2 for the ROS commands)" >&2
    echo train,data,teleop,dev
  fi
}

constraints() {
  if [[ $ros != kilted ]]; then
    cat constraints.txt
  else
    grep -v '^ros-' constraints.txt
    grep '^ros-' constraints-kilted.txt
  fi
}

# Torch's CPU wheels live on their own index; PyPI's bring several GB of CUDA, which only an NVIDIA machine wants.
torch_index() {
  local index=https://download.pytorch.org/whl/cpu
  if command -v nvidia-smi >/dev/null; then return; fi
  if .venv/bin/python -c "import urllib.request as r; r.urlopen('$index/torch/', timeout=5)" 2>/dev/null; then
    echo "--extra-index-url=$index"
  else
    say "Cannot reach $index: unless pip knows another source, torch comes with CUDA (5 GB instead of 1)" >&2
  fi
}

install_packages() {
  local chosen pip=(.venv/bin/python -m pip install --disable-pip-version-check -c .venv/constraints.txt)
  constraints >.venv/constraints.txt
  chosen=$(extras)
  say "Installing torch, then isthmus[$chosen]"
  # Torch first and pinned: asked for together with the rest, pip may fetch the CUDA build on the way.
  # shellcheck disable=SC2046
  "${pip[@]}" $(torch_index) "$(grep '^torch==' constraints.txt)"
  "${pip[@]}" -e ".[$chosen]"
}

[[ $ros =~ ^(jazzy|kilted|system)$ ]] || die "unknown ROS '$ros': jazzy, kilted or system"
install_system_packages
make_environment
install_packages
rm -f .venv/.ready-*
say "Ready. Try: make help"
