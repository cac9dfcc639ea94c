#!/usr/bin/env bash
# One command for a machine with a GPU and no network: builds for its card, runs the GPU tests, times the layers beside
# torch (cuDNN) and CuPy, validates, and looks for bad accesses and races. Needs there: nvcc, and Python with torch, CuPy,
# pybind11, scikit-build-core, cmake, ninja, pytest, hypothesis, typer, rich, pillow, matplotlib.
#
#     bench/device.sh        # results in $OUT, or in bench/results/device
#
# Every step runs, whatever failed before it; note.md says how each ended. All together under nine minutes. Without a GPU
# the same steps run on the cpu backend and on a few rows, to try the script out, and the note says so.
set -u
cd "$(dirname "$0")/.."
root=$PWD
out=${OUT:-bench/results/device}
mkdir -p "$out" && out=$(cd "$out" && pwd)
note=$out/note.md
site=$root/build/device/site
limit=530 # seconds for everything
failed=0
CONVKIT_COMMIT=$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || true)
export CONVKIT_COMMIT PYTHONPATH=$site PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

if nvidia-smi -L >/dev/null 2>&1; then
  backend=cuda rows=() peers=torch,channels_last,cupy cuda=ON
else
  backend=cpu rows=(lenet) peers=none cuda=OFF
fi

# step NAME SECONDS LOG COMMAND...: runs it for that long at most, and no longer than what is left of everything.
step() {
  local name=$1 seconds=$2 log=$out/$3 left=$((limit - SECONDS)) start=$SECONDS status
  shift 3
  if ((left < 10)); then
    echo "- $name: not run, no time left" >>"$note"
    return
  fi
  ((seconds = seconds < left ? seconds : left))
  printf '\n== %s (at %s s, %s s at most)\n' "$name" "$start" "$seconds"
  # Interrupted, the benchmark still saves what it has done.
  timeout --signal=INT --kill-after=15 "$seconds" "$@" >>"$log" 2>&1
  status=$?
  tail -n 4 "$log"
  case $status in
    0) echo "- $name: ok, $((SECONDS - start)) s" ;;
    124 | 130) echo "- $name: stopped after $((SECONDS - start)) s, see ${log##*/}" ;;
    *) echo "- $name: FAILED with status $status after $((SECONDS - start)) s, see ${log##*/}" ;;
  esac >>"$note"
  ((status == 0)) || failed=1
}

rm -f "$out"/{build,tests,probes,bench,validate,sanitizer}.log "$out"/bench{,-batch}.json
{
  echo "# Device run, $(date -u +%FT%TZ)"
  echo
  echo "commit ${CONVKIT_COMMIT:-unknown}"
  if [[ $backend == cuda ]]; then
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader
    nvcc --version | grep release
  else
    echo "**not run on a GPU**: none was found; the cpu backend on a few rows, to try the script out"
  fi
  python3 -c 'import sys; print("python", sys.version.split()[0])'
  echo
} >"$note" 2>&1

rm -rf "$site"
CONVKIT_CUDA=$cuda step "build for this card" 240 build.log \
  python3 -m pip install --no-build-isolation --no-deps --no-index --target "$site" -Cbuild-dir=build/device/objects .

if [[ ! -d $site/convkit ]]; then
  echo "- nothing else can run without a build" >>"$note"
  cat "$note"
  exit 1
fi
convkit=$site/bin/convkit
python3 -c 'import convkit; print("- runs", convkit.__file__)' >>"$note" 2>&1

pytest=(python3 -m pytest -o addopts="-q --strict-markers" -p no:cacheprovider)
parallel=()
python3 -c 'import xdist' 2>/dev/null && parallel=(-n 4)
if [[ $backend == cuda ]]; then
  step "GPU tests" 150 tests.log "${pytest[@]}" -m gpu "${parallel[@]}" --maxfail=50 tests
else
  step "tests of the command" 150 tests.log "${pytest[@]}" tests/test_cli.py
fi

if [[ $backend == cuda ]]; then
  # Whole numbers through each wrapper of cp.async, ldmatrix and mma, whose layouts simt only emulates.
  step "layout probes" 60 probes.log bash -c '
    nvcc -std=c++20 -fmad=false -arch=native -DCK_GPU=cuda -Icsrc tests/simt/probes.cu csrc/gpu/launch_error.cpp \
      csrc/core/error.cpp -o "$0" || exit
    for probe in pipeline partial_{4,8,16} matrices_{1,2,4}{,_transposed} product_{tf32,bfloat16,float16} \
      split_{tf32,bfloat16} pieces; do
      result=$("$0" "$probe")
      echo "$probe: $result"
      [[ $result == ok* ]] || wrong=1
    done
    exit ${wrong:-0}' "$root/build/device/probes"
fi

step "layers beside peers" 150 bench.log \
  "$convkit" bench "${rows[@]}" --quick --seconds 0.15 --backend "$backend" --vs "$peers" --save "$out/bench.json"

step "validate" 60 validate.log "$convkit" validate --backend "$backend" --cases 300 --save ""

if [[ $backend == cuda ]] && command -v compute-sanitizer >/dev/null; then
  # Without CuPy's pool each array is an allocation of its own, and a step beyond it is seen.
  plain='import cupy
cupy.cuda.set_allocator(None)
from convkit_command import main
main()'
  sanitize=(compute-sanitizer --error-exitcode 9 --print-limit 20 --target-processes all)
  check=(python3 -c "$plain" validate --backend cuda --dtype float32 --kind normal --memory plain --save "")
  for op in conv2d pool2d gram im2col conv_transpose2d linear batch_norm bias_grad adaptive_pool2d lrn cross_entropy; do
    step "memcheck $op" 20 sanitizer.log "${sanitize[@]}" --tool memcheck "${check[@]}" "$op" core
  done
  step "racecheck conv2d" 30 sanitizer.log "${sanitize[@]}" --tool racecheck "${check[@]}" conv2d n1c16h10w10-k32r3s3-st1-pd1
  step "racecheck gram" 30 sanitizer.log "${sanitize[@]}" --tool racecheck "${check[@]}" gram n1c64h6w6
else
  echo "- compute-sanitizer: not run, needs a GPU and compute-sanitizer" >>"$note"
fi

if [[ $backend == cuda ]]; then
  step "some layers of 32 images" 60 bench.log \
    "$convkit" bench resnet50.3b_3x3 resnet50.2c_64-256 mobilenet.dw512_14 alexnet.pool2 vgg19.4_1 --batch 32 \
    --seconds 0.3 --backend cuda --vs "$peers" --save "$out/bench-batch.json"
fi

printf '\n'
cat "$note"
exit $failed
