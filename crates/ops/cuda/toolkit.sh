#!/usr/bin/env bash
# toolkit.sh DIR: a CUDA 13.0 toolkit in DIR, out of NVIDIA's wheels on PyPI, for building on a machine without one. Neither a card nor a driver is needed.
#
# 13.0 and not later: the driver takes no instructions from a compiler that is newer than itself.
set -euo pipefail
[ $# = 1 ] || { echo "usage: toolkit.sh DIR" >&2; exit 2; }
command -v python3 >/dev/null || { echo "toolkit.sh: install python3 with venv and pip first: the toolkit comes from PyPI" >&2; exit 1; }
command -v cc >/dev/null || { echo "toolkit.sh: install a C compiler first" >&2; exit 1; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
version=13.0

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    "nvidia-cuda-nvcc==$version.*" "nvidia-cuda-crt==$version.*" "nvidia-nvvm==$version.*" "nvidia-cuda-runtime==$version.*" \
    "nvidia-cuda-nvrtc==$version.*" "nvidia-cuda-cccl==$version.*" "nvidia-cublas==$version.*" nvidia-curand nvidia-cudnn-cu13

# The wheels' files where a toolkit has them.
wheels=$(echo "$dir"/venv/lib/python3*/site-packages/nvidia)
rm -rf "$dir/bin" "$dir/nvvm" "$dir/include" "$dir/lib64"
mkdir -p "$dir/include" "$dir/lib64/stubs"
ln -s "$wheels/cu13/bin" "$dir/bin"
ln -s "$wheels/cu13/nvvm" "$dir/nvvm"
ln -s "$wheels"/cu13/include/* "$wheels"/cudnn/include/* "$dir/include/"
for library in "$wheels"/cu13/lib/*.so.* "$wheels"/cudnn/lib/*.so.*; do
    name=$(basename "$library")
    ln -sf "$library" "$dir/lib64/$name"
    ln -sf "$library" "$dir/lib64/${name%%.so*}.so"
done
ln -s "$wheels"/cu13/lib/*.a "$dir/lib64/"
# NVRTC comes a second time, under a name that would be taken for the first.
rm -f "$dir"/lib64/lib*alt.so

# The driver's library is no wheel: it comes with the driver. To link against it takes its names only.
python3 - "$dir" <<'PYTHON'
import pathlib, re, subprocess, sys

folder = pathlib.Path(sys.argv[1])
text = (folder / "include/cuda.h").read_text()
names = set(re.findall(r"\b(cu[A-Z]\w+)\s*\(", text)) | set(re.findall(r"#define\s+cu\w+\s+(?:__CUDA_API_\w+\()?(cu[A-Z]\w+)", text))
versions = ["", "_v2", "_v3", "_v4", "_ptsz", "_ptds", "_v2_ptsz", "_v2_ptds"]
# CUDA_ERROR_NO_DEVICE: what a program says that is started with the stub.
stub = "".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted({name + version for name in names for version in versions}))
source = folder / "lib64/stubs/cuda.c"
source.write_text(stub)
subprocess.check_call(["cc", "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", "-o", source.with_name("libcuda.so"), source])
source.with_name("libcuda.so.1").symlink_to("libcuda.so")
PYTHON
"$dir/bin/nvcc" --version | tail -n 1
