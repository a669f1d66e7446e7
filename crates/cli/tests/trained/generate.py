"""Small trained networks of Table 1, and the logits that PyTorch gives with their weights.

Run: python generate.py STN, with the program `stn` (needs torch, numpy, safetensors and pyarrow). It trains experiment.toml and leaves, for each model, the files of its trial that
`stn predict` reads, and `logits.npy`, computed by PyTorch in 64 bits from the same weights; `images.npy` holds the images.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[3] / "docs/src"))
import stn_torch  # noqa: E402


def main(stn):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([stn, "run", HERE / "experiment.toml", "--out", out], check=True, stdout=subprocess.DEVNULL)
        for trial in pq.read_table(Path(out) / "trained/plan.parquet").to_pylist():
            ours, theirs = Path(out) / "trials" / trial["trial"], HERE / trial["model"]
            theirs.mkdir(exist_ok=True)
            for file in ("facts.parquet", "weights.safetensors"):
                shutil.copy(ours / file, theirs / file)
            if not (HERE / "images.npy").exists():
                subprocess.run([stn, "predict", ours, "--limit", "4", "--out", Path(out) / "p.npz"], check=True)
                np.save(HERE / "images.npy", np.load(Path(out) / "p.npz")["images"])
            images = torch.from_numpy(np.load(HERE / "images.npy")).double()
            with torch.no_grad():
                np.save(theirs / "logits.npy", stn_torch.load(theirs).double()(images).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
