"""Holds the training losses of the same trials from two results folders against each other: `curves.py CPU CARD`.

Rounding differs, and a step where a coordinate lies between two pixels makes more of it: so curves part, slowly. Ends with 1 where a loss is more than 2 % off.
"""

import re
import sys
from pathlib import Path

LINE = re.compile(r" train step=(\d+) loss=([-+.\deE]+)")


def losses(trial):
    """{step: loss} of a trial's log."""
    return {int(step): float(loss) for step, loss in LINE.findall((trial / "trial.log").read_text())}


def main(here, there):
    trials = sorted(path for path in Path(here, "trials").iterdir() if (path / "trial.log").exists())
    worst = 0.0
    for trial in trials:
        expected, found = losses(trial), losses(Path(there, "trials", trial.name))
        assert expected and expected.keys() == found.keys(), f"{trial.name}: {len(expected)} losses beside {len(found)}"
        parted = [abs(found[step] - loss) / abs(loss) for step, loss in expected.items()]
        worst = max(worst, *parted)
        print(f"{trial.name}: {len(parted)} losses, the first {parted[0]:.1e} off, the last {parted[-1]:.1e}, at most {max(parted):.1e}")
    print(f"{len(trials)} trials, at most {worst:.1e} off")
    return not trials or worst > 0.02


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
