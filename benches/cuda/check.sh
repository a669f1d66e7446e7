#!/usr/bin/env bash
# Every check and timing on a graphics card, in less than ten minutes.
#
#   check.sh pack DIR         where there are Rust and a CUDA toolkit: builds the program and its tests, and puts them with all else that is needed into DIR, and into
#                             DIR.tar.xz to be carried; `tar -xf` or `python3 -m tarfile -e` unpacks it
#   check.sh run [DIR [OUT]]  where there is a card: needs no Rust and no network. Results go to OUT, which is DIR/results unless given
#
# The peers are timed where python3 has torch and numpy; compute-sanitizer checks the kernels where it is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

pack() {
    local to root=$here/../..
    mkdir -p "$1/benches"
    to=$(cd "$1" && pwd)
    cd "$root"
    crates/ops/cuda/build.sh --bin stn
    strip -o "$to/stn" "${CARGO_TARGET_DIR:-target}/release/stn"
    # The tests' program has a name with a hash in it, which cargo says.
    local tests
    tests=$(crates/ops/cuda/build.sh -p stn-ops --test cuda --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    strip -o "$to/cuda-tests" "$tests"
    cp -r benches/peers/*.py "$to/benches/"
    cp "$here/check.sh" "$to/"
    # The results of an earlier run are nobody else's.
    tar -C "$(dirname "$to")" --exclude="$(basename "$to")/results" -cJf "$to.tar.xz" "$(basename "$to")"
    du -sh "$to" "$to.tar.xz"
}

# CUDA's libraries: those that are installed, or those that came with torch.
find_libraries() {
    local wheels
    wheels=$(python3 -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent.parent / "nvidia")' 2>/dev/null || true)
    [ -d "$wheels" ] || return 0
    LD_LIBRARY_PATH=$(find "$wheels" -maxdepth 3 -type d -name lib | paste -sd:)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
}

failed=0
part() { # part NAME COMMAND...: its output is kept; what fails does not keep the others from running
    local name=$1 start=$SECONDS
    shift
    local code=0
    "$@" >"$out/$name.txt" 2>&1 || code=$?
    case $code in
        0) echo "$name: passed ($((SECONDS - start)) s)" ;;
        124) echo "$name: NOT FINISHED in its time ($((SECONDS - start)) s), see $out/$name.txt"; failed=1 ;;
        *) echo "$name: FAILED ($((SECONDS - start)) s), see $out/$name.txt"; failed=1 ;;
    esac
}

run() {
    local dir
    dir=$(cd "$1" && pwd)
    out=${2:-$dir/results}
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    cd "$dir"
    find_libraries
    nvidia-smi >"$out/card.txt" 2>&1 || { echo "there is no card here: nvidia-smi says nothing" >&2; exit 1; }
    grep -o "CUDA Version: [0-9.]*" "$out/card.txt" | sed 's/$/ is what the driver takes; this program was built with CUDA 13/' || true
    local missing
    missing=$(ldd ./stn | sed -n 's/^\s*\(\S*\) => not found$/\1/p' | paste -sd' ')
    [ -z "$missing" ] || { echo "these libraries of CUDA 13 are not found: $missing; name their folders in LD_LIBRARY_PATH" >&2; exit 1; }
    export STN_CACHE=$out/cache STN_NEEDS_CARD=1

    # Twice: the second time finds every kernel on disk.
    part same_numbers ./cuda-tests --test-threads=1
    part from_disk ./cuda-tests --test-threads=1
    if command -v compute-sanitizer >/dev/null; then
        part memcheck timeout 120 compute-sanitizer --tool memcheck --error-exitcode 1 ./cuda-tests --test-threads=1
        # Races are those of shared memory, which the sampler's gradients use; the other kernels share sums alone.
        part racecheck timeout 120 compute-sanitizer --tool racecheck --error-exitcode 1 ./cuda-tests --test-threads=1 sampler layers
    else
        echo "compute-sanitizer is not installed: memory and races are not checked"
    fi
    if python3 -c "import numpy, torch" 2>/dev/null; then
        part timing timeout 240 python3 benches/compare.py --stn ./stn --device cuda:0 --rounds 3 --seconds 0.2 --quiet --json "$out/timing.json" step sample.bilinear
    else
        part timing timeout 240 ./stn bench --device cuda:0 step sample.bilinear
    fi
    exit $failed
}

case "${1:-}" in
    pack) pack "${2:?a folder}" ;;
    run) run "${2:-$here}" "${3:-}" ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
