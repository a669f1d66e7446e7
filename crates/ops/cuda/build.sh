#!/usr/bin/env bash
# build.sh ARGUMENTS: cargo build --release --features cuda ARGUMENTS, with the installed CUDA toolkit, or else with the one that `just setup-cuda` made.
#
# CUDA_HOME names another toolkit; CUDA_COMPUTE_CAP another card than that of this machine, as 80 for an A100 or 90 for an H100 or H200.
set -euo pipefail
cd "$(dirname "$0")/../../.."
own=$PWD/target/cuda

if [ -n "${CUDA_HOME:-}" ]; then
    home=$CUDA_HOME
elif command -v nvcc >/dev/null; then
    home=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
elif [ -x "$own/bin/nvcc" ]; then
    home=$own
else
    echo "there is no CUDA toolkit here: neither nvcc nor CUDA_HOME. Make one out of wheels with: just setup-cuda" >&2
    exit 1
fi
[ -x "$home/bin/nvcc" ] || { echo "CUDA_HOME is $home, but there is no bin/nvcc in it" >&2; exit 1; }
command -v c++ >/dev/null || { echo "install a C++ compiler first: nvcc needs one" >&2; exit 1; }
# Without a card to ask, for that of an H200.
[ -n "${CUDA_COMPUTE_CAP:-}" ] || command -v nvidia-smi >/dev/null || export CUDA_COMPUTE_CAP=90

export CUDA_HOME=$home CUDA_PATH=$home PATH=$home/bin:$PATH
export LIBRARY_PATH=$home/lib64:$home/lib64/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}
cargo build --release --features cuda "$@"
