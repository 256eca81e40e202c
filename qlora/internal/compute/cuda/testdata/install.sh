#!/usr/bin/env bash
# Installs what a build with the tag cuda needs on linux/amd64, on a machine with
# Python and gcc only and no GPU: the CUDA 12.9 headers that gorgonia.org/cu compiles
# with, nvcc 13.0.88 for go generate, and an empty libcuda.a for cu's -lcuda
# (package driver defines the entry points). Prints the environment to use:
#
#   eval "$(bash qlora/internal/compute/cuda/testdata/install.sh [FOLDER])"
set -euo pipefail
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/borea-cuda}
packages="nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime-cu12==12.9.79"
mark=$dir/$(sha256sum <<<"$packages" | cut -c1-16)
if [ ! -e "$mark" ]; then
	mkdir -p "$dir"
	rm -rf "$dir/site"
	python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --target "$dir/site" $packages >&2
	chmod +x "$dir"/site/nvidia/cu13/bin/* "$dir"/site/nvidia/cu13/nvvm/bin/*
	mkdir -p "$dir/lib"
	rm -f "$dir/lib/libcuda.a"
	ar rcs "$dir/lib/libcuda.a"
	touch "$mark"
fi
cat <<END
export CUDA_HOME=$dir/site/nvidia/cu13
export PATH=$dir/site/nvidia/cu13/bin:\$PATH
export CGO_ENABLED=1
export CGO_CFLAGS='-O2 -g -I$dir/site/nvidia/cuda_runtime/include'
export CGO_LDFLAGS='-O2 -g -L$dir/lib'
END
