#!/usr/bin/env bash
# All that needs a GPU, in at most 8 minutes: tests marked gpu, worlds a second, a quadruped that learns to walk there and
# is judged on the CPU's physics, and Isaac's PhysX. What fails is told at the end, and does not keep the rest from running.
#
#   benchmarks/gpu_run.sh wheels FOLDER    collect, with a network, what a machine without one needs beside torch
#   benchmarks/gpu_run.sh                  run; $PYTHON (python3) has torch for CUDA, $WHEELS is that folder, if any
#
# Logs, the exported policy and the figures lie in $OUT (runs/gpu). ISTHMUS_PHYSX_PYTHON names a Python that has ovphysx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
out=${OUT:-runs/gpu}

if [[ ${1:-} == wheels ]]; then
  "$python" -m pip wheel -q -c constraints.txt --wheel-dir "${2:?a folder for the wheels}" ".[gpu]" pytest hypothesis
  rm -f "$2"/isthmus-* "$2"/torch-* "$2"/nvidia_* "$2"/triton-* # the machine has its own
  du -sh "$2"
  exit
fi

mkdir -p "$out"
failed=()
step() { # NAME SECONDS COMMAND…
  local name=$1 seconds=$2 begun=$SECONDS
  shift 2
  if timeout "$seconds" "$@" >"$out/$name.log" 2>&1; then
    echo "$name: done in $((SECONDS - begun)) s"
  else
    failed+=("$name")
    echo "$name: failed or not done in $seconds s; the end of $out/$name.log:"
    tail -n 15 "$out/$name.log"
  fi
}

"$python" -c "import sys, torch; sys.exit(not torch.cuda.is_available())" || { echo "gpu_run: $python finds no CUDA device" >&2; exit 2; }
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$python" -m venv --system-site-packages "$environment"
python=$environment/bin/python
from=()
if [[ -n ${WHEELS:-} ]]; then from=(--no-index --find-links "$WHEELS"); fi
step install 90 "$python" -m pip install -q --no-build-isolation "${from[@]}" -e ".[gpu]" pytest hypothesis
step tests 120 "$python" -m pytest -q -m gpu tests
step worlds 70 "$python" benchmarks/gpu.py --worlds 256 1024 4096 16384 --rounds 1 --save
step training 110 "$python" -m isthmus_policies.training.train quadruped --engine warp --num-envs 4096 --run "$out/run"
step quality 60 "$python" -m isthmus_policies.export.export "$out/run" --episodes 200 --out "$out/policy.onnx"
if [[ -n ${ISTHMUS_PHYSX_PYTHON:-} ]]; then
  step physx 30 "$python" -m pytest -q tests/sim/engines/test_workers.py -k physx
fi
if ((${#failed[@]})); then
  echo "gpu_run: ${failed[*]} failed" >&2
  exit 1
fi
