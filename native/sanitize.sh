#!/usr/bin/env bash
# Runs the native tests under the address and undefined-behavior sanitizers: kernels read and write raw memory.
# In: a compiler with sanitizers; CMake; PYTHON (default: python). Out: exit code 0 if all native tests pass under them.
set -euo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
python="${PYTHON:-python}"
build="$(mktemp -d)"
trap 'rm -rf "$build"' EXIT

# A copy of the package, so that the sanitized extension and the usual one never mix.
cp -r "$root/src/chainrule" "$build/chainrule"
find "$build/chainrule" -name '_native*' -delete
cmake -S "$root" -B "$build/cmake" -DCHAINRULE_SANITIZE=ON -DPython_EXECUTABLE="$(command -v "$python")" >"$build/configure.log" \
  || { cat "$build/configure.log"; exit 1; }
cmake --build "$build/cmake" --parallel
cp "$build"/cmake/_native*.so "$build/chainrule/engines/"

# Python itself is not built with the sanitizer, so the runtime is loaded first; leaks of Python at exit are ignored.
compiler="${CXX:-c++}"
export LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0
export UBSAN_OPTIONS=print_stacktrace=1
export PYTHONPATH="$build${PYTHONPATH:+:$PYTHONPATH}"
export CHAINRULE_CONTRACT_EXAMPLES="${CHAINRULE_CONTRACT_EXAMPLES:-20}"
cd "$root"
# The sanitizer replaces `new`, so allocations are not counted here.
"$python" -m pytest -n 0 -q -p no:cacheprovider tests/engines/test_native_math.py tests/engines/test_native_lanes.py \
  tests/engines/test_native_session.py \
  --deselect tests/engines/test_native_session.py::test_counting_sees_a_session_s_memory
"$python" -m pytest -n 0 -q -p no:cacheprovider tests/engines/test_native_border.py tests/engines/test_raw_predictions.py
"$python" -m pytest -n 0 -q -p no:cacheprovider tests/engines/test_engine_border.py tests/nn/test_nn_losses_digits.py -k native
"$python" -m pytest -n 0 -q -p no:cacheprovider tests/engines/test_engine_contract.py -k native
