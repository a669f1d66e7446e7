# The commands of this project. `just` is one program: `cargo install just`, or your system's package of that name.
# Every recipe is a plain command, so nothing here is out of reach without it.

set positional-arguments

# Show the recipes.
default:
    @just --list

# Run an experiment: just run experiments/quickstart.toml train.steps=200
run file *arguments:
    cargo run --release -- run "$@"

# Make an experiment's tables and figures anew: just report results/quickstart
report dir *arguments:
    cargo run --release -- report "$@"

# Time our own works: just bench step.tutorial sample.bilinear (all of them unless named; `stn bench --list` lists them)
bench *works:
    cargo run --release -- bench ${@:-step limit sample trials}

# Time them beside PyTorch, JAX, stock candle and Burn, interleaved, and print the ratios: just bench-peers --rounds 5 step
bench-peers *arguments:
    cargo build --release
    # One after the other: together, candle would be built with the instructions that Burn asks of the library for matrix products both use.
    nice cargo build --release --locked --manifest-path benches/peers/rust/Cargo.toml --target-dir target/peers-rust -p peer-candle
    nice cargo build --release --locked --manifest-path benches/peers/rust/Cargo.toml --target-dir target/peers-rust -p peer-burn
    test -d target/peers-venv || python3 -m venv target/peers-venv
    target/peers-venv/bin/pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
    target/peers-venv/bin/python benches/peers/compare.py --json target/peers.json "$@"

# A CUDA toolkit out of NVIDIA's wheels on PyPI (3 GB), in target/cuda, for building where none is installed.
setup-cuda:
    crates/ops/cuda/toolkit.sh target/cuda

# The program with graphics cards of NVIDIA's, as target/stn-cuda: just build-cuda && target/stn-cuda run experiments/quickstart.toml --device cuda:0
build-cuda *arguments:
    crates/ops/cuda/build.sh "$@"
    cp target/release/stn target/stn-cuda

# Every test.
test:
    cargo test --release --workspace

# What a change must pass besides the tests: format, lints, documentation that is current.
check:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    cargo run --release --quiet -- reference experiment | diff docs/src/reference.md -
    cargo run --release --quiet -- reference results | diff docs/src/results.md -
    cargo run --release --quiet -- reference schema | diff docs/src/experiment.schema.json -
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# Write the reference pages that are made from the code.
reference:
    cargo run --release --quiet -- reference experiment > docs/src/reference.md
    cargo run --release --quiet -- reference results > docs/src/results.md
    cargo run --release --quiet -- reference schema > docs/src/experiment.schema.json

# The manual, into docs/book.
book:
    mdbook build docs
