"""Times this project beside its peers, interleaved, and prints the ratios as a Markdown table.

For each work every peer is a process of its own that stays alive, built and warm. A round lets ours and each peer do a few runs, one after another, each round beginning
with another one, so that whatever slows the machine for a while slows all of them. The ratio of a round is ours / peer's, of the medians of its runs; the table holds the
median of these ratios over all rounds. Memory is what the process's resident memory rose by at its peak since just before the work was built, when our side or a
Python peer had already done a tiny training step, so that what is loaded on first use is not counted.

`compare.py --stn target/release/stn [WORK ...]`; a WORK may be the beginning of several names.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = {
    "torch": [sys.executable, str(HERE / "torch_peer.py"), "{work}", "{threads}", "--device={device}"],
    "compile": [sys.executable, str(HERE / "torch_peer.py"), "{work}", "{threads}", "--device={device}", "--compile"],
    "graphs": [sys.executable, str(HERE / "torch_peer.py"), "{work}", "{threads}", "--device={device}", "--graphs"],
    "jax": [sys.executable, str(HERE / "jax_peer.py"), "{work}", "{threads}"],
    "candle": ["{rust}/peer-candle", "{work}", "{threads}"],
    "burn": ["{rust}/peer-burn", "{work}", "{threads}"],
}
ON_A_CARD = ["torch", "compile", "graphs"]
TITLES = {"torch": "PyTorch", "compile": "torch.compile", "graphs": "CUDA graphs", "jax": "JAX", "candle": "stock candle", "burn": "Burn"}


class Peer:
    """A peer's process for one work."""

    def __init__(self, name, work, options):
        words = [word.format(work=work, threads=options.threads, rust=options.rust, device=options.device) for word in PEERS[name]]
        words += ["--tf32"] * (options.tf32 and name in ON_A_CARD)
        environment = dict(os.environ, RAYON_NUM_THREADS=str(options.threads), OMP_NUM_THREADS=str(options.threads))
        self.name = name
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE if options.quiet else None, text=True, env=environment)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            return {"unsupported": f"ended without an answer ({self.process.wait()})"}
        return json.loads(line)

    def run(self, reps):
        try:
            self.process.stdin.write(f"run {reps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended: the answer says so.
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """This project: a process a round, which warms up by itself before it takes the time."""

    name = "ours"

    def __init__(self, work, options):
        self.words = [options.stn, "bench", work, "--json", "--threads", str(options.threads), "--device", options.device, *["--tf32"] * options.tf32]

    def run(self, reps):
        done = subprocess.run([*self.words, "--reps", str(reps)], check=True, stdout=subprocess.PIPE, text=True)
        line = json.loads(done.stdout)
        return {"median_ms": line["median_ms"], "peak_bytes": line["peak_bytes"]}

    def close(self):
        pass


def compare(work, options):
    """Every round of one work: {name: {"rounds_ms": [...], "times_ms": [[...]], "peak_bytes": n, ...}}."""
    sides = [Ours(work, options), *filter(None, (start(name, work, options) for name in options.peers))]
    samples = {side.name: {"rounds_ms": [], "times_ms": []} for side in sides}
    reps = {side.name: runs_for(side, options.seconds) for side in sides}
    for turn in range(options.rounds):
        shift = turn % len(sides)
        for side in sides[shift:] + sides[:shift]:
            answer = side.run(reps[side.name])
            if "unsupported" in answer:
                raise SystemExit(f"{side.name}, {work}: {answer['unsupported']}")
            kept = samples[side.name]
            kept["rounds_ms"].append(milliseconds(answer))
            kept["times_ms"].append(answer.get("times_ms", []))
            for key in ["peak_bytes", "peak_since_imports_bytes"]:
                kept[key] = max(kept.get(key) or 0, answer.get(key) or 0)
    for side in sides:
        side.close()
    return samples


def start(name, work, options):
    """A peer that is built and warm; None where it has no such work."""
    try:
        peer = Peer(name, work, options)
    except OSError as why:
        print(f"  {name}: {why}", file=sys.stderr)
        return None
    answer = peer.answer()
    if "unsupported" in answer:
        print(f"  {name}: {answer['unsupported']}", file=sys.stderr)
        return None
    return peer


def overhead(options):
    """The step with four transformers over the step without, in turns: {name: [ratio, ...]}, ours and PyTorch's."""
    works = ("step.svhn_multi", "step.svhn_cnn")
    pairs = [tuple(Ours(work, options) for work in works)]
    if "torch" in options.peers:
        pairs.append(tuple(start("torch", work, options) for work in works))
    ratios = {}
    for multi, plain in [pair for pair in pairs if all(pair)]:
        reps = max(2, runs_for(plain, options.seconds))
        ratios[multi.name] = [milliseconds(multi.run(reps)) / milliseconds(plain.run(reps)) for _ in range(options.rounds)]
        multi.close()
        plain.close()
    return ratios


def milliseconds(answer):
    """The median time of an answer's runs."""
    return answer["median_ms"] if "median_ms" in answer else statistics.median(answer["times_ms"])


def runs_for(side, seconds):
    """As many runs as fit the time given."""
    return max(1, min(200, round(seconds * 1e3 / milliseconds(side.run(1)))))


def ratio(samples, name):
    """The median over rounds of ours / this peer's."""
    return statistics.median(ours / theirs for ours, theirs in zip(samples["ours"]["rounds_ms"], samples[name]["rounds_ms"]))


def tables(results, peers):
    """Times and memory, as Markdown."""

    def lines(value, relation):
        yield "| work | ours | " + " | ".join(f"{TITLES[peer]} | ours / it" for peer in peers) + " |"
        yield "|---|--:" + "|--:|--:" * len(peers) + "|"
        for work, samples in results.items():
            cells = [f"`{work}`", value(samples["ours"])]
            for peer in peers:
                cells += [value(samples[peer]), relation(samples, peer)] if peer in samples else ["", ""]
            yield "| " + " | ".join(cells) + " |"

    def memory_ratio(samples, peer):
        theirs = samples[peer]["peak_bytes"]
        return f"{samples['ours']['peak_bytes'] / theirs:.2f}" if theirs else ""

    yield "Time of a run, ms: median over rounds, and median ratio.\n"
    yield from lines(lambda side: f"{statistics.median(side['rounds_ms']):.2f}", lambda samples, peer: f"**{ratio(samples, peer):.2f}**")
    yield "\nPeak memory of the work, MB.\n"
    yield from lines(lambda side: f"{side['peak_bytes'] / 1e6:.0f}", memory_ratio)


def machine(options):
    """What it was measured on."""
    model = ""
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"processor": model or platform.processor(), "system": platform.platform(), "device": options.device, "threads": options.threads, "load_at_start": load}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK", help="names, or how they begin; all of them unless given")
    parser.add_argument("--stn", default="target/release/stn", help="this project's program")
    parser.add_argument("--rust", default="target/peers-rust/release", help="the folder of the Rust peers")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads, for every side")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each side is timed in a round")
    parser.add_argument("--device", default="cpu", help="what computes: cpu, or cuda:0, for the peers and the works that can")
    parser.add_argument("--tf32", action="store_true", help="let convolutions on a card multiply TensorFloat-32, on every side; whole f32 unless given")
    parser.add_argument("--peers", help="which, separated by commas; all that can unless given")
    parser.add_argument("--json", help="where every sample goes")
    parser.add_argument("--quiet", action="store_true", help="drop what peers write to standard error")
    options = parser.parse_args()
    on_card = options.device != "cpu"
    # Graphs are a card's.
    able = ON_A_CARD if on_card else [peer for peer in PEERS if peer != "graphs"]
    options.peers = able if options.peers is None else [peer for peer in options.peers.split(",") if peer]
    unknown = [peer for peer in options.peers if peer not in PEERS]
    if unknown:
        parser.error(f"unknown peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    listed = subprocess.run([options.stn, "bench", "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    # No peer runs a sweep or makes a report; what is large is for cards, unless it is asked for.
    kinds = ("step.", "sample.", "limit.") + (("large.",) if on_card or options.works else ())
    listed = [work for work in listed if work.startswith(kinds)]
    # In the order asked for: what comes last may be cut off by a limit.
    chosen = list(dict.fromkeys(work for prefix in options.works or [""] for work in listed if work.startswith(prefix)))
    if not chosen:
        parser.error(f"no work begins with {' or '.join(options.works)}")
    about, results, start = machine(options), {}, time.monotonic()
    for i, work in enumerate(chosen):
        print(f"[{time.monotonic() - start:.0f} s] {work} ({i + 1} of {len(chosen)})", file=sys.stderr)
        results[work] = compare(work, options)
        if options.json:
            Path(options.json).parent.mkdir(parents=True, exist_ok=True)
            Path(options.json).write_text(json.dumps({"machine": about, "works": results}, indent=1))
    shares = overhead(options) if {"step.svhn_multi", "step.svhn_cnn"} <= results.keys() else {}
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": about, "works": results, "overhead": shares}, indent=1))
    print(f"{about['processor']}, {about['device']}, {about['threads']} threads, {options.rounds} rounds{', TensorFloat-32' if options.tf32 else ''}\n")
    print("\n".join(tables(results, options.peers)))
    if shares:
        print("\nST-CNN Multi / CNN, the step with four transformers over the step without, median of rounds in turns:\n")
    for name, ratios in shares.items():
        print(f"- {TITLES.get(name, 'ours')}: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
