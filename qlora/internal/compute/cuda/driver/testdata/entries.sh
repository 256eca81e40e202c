#!/usr/bin/env bash
# Lists the driver entry points for trampoline_cuda.h: what the objects of
# gorgonia.org/cu and of the shim leave undefined. Needs the environment that
# ../../testdata/install.sh prints.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/cu.a" gorgonia.org/cu
cc $CGO_CFLAGS -c -o "$work/shim.o" shim_cuda.c
(cd "$work" && ar x cu.a)
nm "$work"/*.o 2>/dev/null | awk '$2 == "T" {print $3}' >"$work/own"
names=$(nm "$work"/*.o 2>/dev/null | awk '$1 == "U" && $2 ~ /^cu[A-Z]/ {print $2}' | sort -u |
	grep -vx -e cuInit -e cuDeviceGetCount -f "$work/own")
{
	sed '/#define ENTRIES/q' trampoline_cuda.h
	sed 's/.*/\tX(&) \\/; $s/ \\$//' <<<"$names"
} >"$work/new.h"
mv "$work/new.h" trampoline_cuda.h
