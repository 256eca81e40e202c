#!/usr/bin/env bash
# Writes amx.txt: the tile instructions of the package as GNU objdump 2.40 or later
# reads them (function, bytes, text; operands from right to left).
#
#     bash qlora/internal/compute/cpu/testdata/amx.sh > amx.txt
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go test -c -o "$dir/test" .
for f in tilesInt8 tilesBF16 loopInt8 loopBF16; do
	objdump -d --disassemble="github.com/borea-go/borea/qlora/internal/compute/cpu.$f.abi0" "$dir/test" |
		awk -F'\t' -v f="$f" '$3 ~ /^(ldtilecfg|tile|tdp)/ { gsub(/ +$/, "", $2); gsub(/ +$/, "", $3); print f "\t" $2 "\t" $3 }'
done
