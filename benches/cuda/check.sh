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
    cp experiments/quickstart.toml experiments/mnist_table1.toml "$here/curves.py" "$here/check.sh" "$to/"
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

part() { # part NAME SECONDS COMMAND...: its output is kept; what fails does not keep the others from running
    local name=$1 limit=$2 start=$SECONDS code=0
    shift 2
    timeout "$limit" "$@" >"$out/$name.txt" 2>&1 || code=$?
    case $code in
        0) echo "$name: passed ($((SECONDS - start)) s)" ;;
        124) echo "$name: NOT FINISHED in its time ($((SECONDS - start)) s), see $out/$name.txt" ;;
        *) echo "$name: FAILED ($((SECONDS - start)) s), see $out/$name.txt" ;;
    esac
    [ $code = 0 ] || : >"$out/$name.failed"
}

# A short sweep of three networks.
sweep() { # sweep OUT ARGUMENT...
    ./stn run quickstart.toml --out "$@" 'sweep.grid.model=["cnn", "st_cnn_affine", "st_cnn_tps"]'
}

same_curves() {
    rm -rf "$out/on_cpu" "$out/on_card"
    for to in "on_cpu cpu" "on_card cuda:0"; do
        sweep "$out/${to% *}" --device "${to#* }" sweep.seeds=1 train.steps=60 train.log_every=5 dataset.test_limit=500
    done
    python3 curves.py "$out/on_cpu" "$out/on_card"
}

# A batch whose first layer no card has room for, 181 GB: the trial says how much it wanted, and the next one runs.
full_card() {
    rm -rf "$out/full"
    local words
    words=$(./stn run quickstart.toml --out "$out/full" --device cuda:0 --memory 1TiB sweep.seeds=1 train.steps=2 dataset.test_limit=20 'sweep.grid.train.batch=[32768, 4]' \
        'models.wide.layers=[{ conv = [2048, 3] }, "relu", { fc = "classes" }]' 'sweep.grid.model=["wide"]' 2>&1) && { echo "$words"; return 1; }
    echo "$words"
    grep -q "no room for [0-9]* bytes on the graphics card" <<<"$words" && grep -q "test error .* after 2 steps" <<<"$words"
}

# The same 24 trials, so many at once on the one card.
trials_per_hour() {
    local jobs start
    for jobs in 1 4 8; do
        rm -rf "$out/jobs"
        start=$(date +%s%N)
        sweep "$out/jobs" --device cuda:0 --jobs $jobs sweep.seeds=8 train.steps=200 dataset.test_limit=500 >/dev/null
        echo "--jobs $jobs: $((24 * 3600 * 1000000000 / ($(date +%s%N) - start))) trials of 200 steps an hour"
    done
}

# Every model of Table 1 for a few steps, and what the whole schedule would take at that pace.
table1() {
    rm -rf "$out/table1"
    local schedule=(mnist_table1.toml --out "$out/table1" --device cuda:0 'dataset.source="embedded"' dataset.test_limit=500)
    ./stn run "${schedule[@]}" --jobs 4 sweep.seeds=1 train.steps=500 >/dev/null
    ./stn run "${schedule[@]}" --dry-run | tail -n 1
}

run() {
    local dir
    dir=$(cd "$1" && pwd)
    out=${2:-$dir/results}
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    rm -f "$out"/*.failed
    cd "$dir"
    find_libraries
    nvidia-smi >"$out/card.txt" 2>&1 || { echo "there is no card here: nvidia-smi says nothing" >&2; exit 1; }
    grep -o "CUDA Version: [0-9.]*" "$out/card.txt" | sed 's/$/ is what the driver takes; this program was built with CUDA 13/' || true
    local missing
    missing=$(ldd ./stn | sed -n 's/^\s*\(\S*\) => not found$/\1/p' | paste -sd' ')
    [ -z "$missing" ] || { echo "these libraries of CUDA 13 are not found: $missing; name their folders in LD_LIBRARY_PATH" >&2; exit 1; }
    export STN_CACHE=$out/cache STN_NEEDS_CARD=1 out
    export -f sweep same_curves full_card trials_per_hour table1

    # Side by side what takes no time. The first run fills the cache of kernels, the second finds every one there.
    part same_numbers 60 ./cuda-tests --test-threads=1
    part from_disk 60 ./cuda-tests --test-threads=1 &
    part same_curves 110 bash -ec same_curves &
    if command -v compute-sanitizer >/dev/null; then
        part memcheck 110 compute-sanitizer --tool memcheck --error-exitcode 1 ./cuda-tests --test-threads=1 &
        # Races are those of shared memory, which the sampler's gradients use; the other kernels share sums alone.
        part racecheck 110 compute-sanitizer --tool racecheck --error-exitcode 1 ./cuda-tests --test-threads=1 sampler layers &
    else
        echo "compute-sanitizer is not installed: memory and races are not checked"
    fi
    wait
    part full_card 30 bash -ec full_card
    # One after another what takes time.
    local compare=(python3 benches/compare.py --stn ./stn --device cuda:0 --rounds 3 --seconds 0.1 --quiet)
    if python3 -c "import numpy, torch" 2>/dev/null; then
        part timing 130 "${compare[@]}" --json "$out/timing.json" --peers torch step.tutorial large step.st_cnn limit.memory sample.bilinear
        part timing_tf32 60 "${compare[@]}" --tf32 --json "$out/timing_tf32.json" --peers torch large.svhn_multi_128px large.svhn_multi step.st_cnn
        part timing_compiled 100 "${compare[@]}" --json "$out/timing_compiled.json" --peers compile,graphs step.tutorial large.tutorial step.st_cnn large.svhn_multi
    else
        part timing 160 ./stn bench --device cuda:0 step large limit.memory sample.bilinear
    fi
    part trials_per_hour 50 bash -ec trials_per_hour
    part table1 60 bash -ec table1
    grep -h "trials of 200 steps" "$out/trials_per_hour.txt" || true
    sed -n 's/^96 trials: 96 to do; /Table 1 in full: /p' "$out/table1.txt"
    compgen -G "$out/*.failed" >/dev/null && exit 1
    exit 0
}

case "${1:-}" in
    pack) pack "${2:?a folder}" ;;
    run) run "${2:-$here}" "${3:-}" ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
