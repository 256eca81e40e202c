#!/usr/bin/env bash
# Has llama.cpp load split files that this package cut in several ways, and files whose
# metadata it edited by a copy and in place, and compares what it says from them, and
# what parts merge to.
#
# Usage: bash split_check.sh NPM_DIRECTORY FILE.gguf   (a file of the bundled model of
# type F16 or F32; see llamacpp_check.mjs). Exit code 1 if anything differs.
set -euo pipefail
npm=$(realpath "$1") file=$(realpath "$2")
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/split" ./gguf/testdata/split
first=()
i=0
for how in "-max-tensors 7" "-max-bytes 5000000" "-max-tensors 1 -empty-first" "-max-bytes 1" ""; do
	i=$((i + 1))
	# shellcheck disable=SC2086 # words are wanted
	first+=("$("$dir/split" $how -prefix "$dir/p$i" "$file")")
	"$dir/split" -merge "$dir/merged.gguf" "${first[-1]}"
	cmp "$file" "$dir/merged.gguf"
	echo "split${how:+ $how}: $(find "$dir" -name "p$i-*" | wc -l) parts, merged to the same bytes"
done
cp "$file" "$dir/edited.gguf"
"$dir/split" -name "phi-3 edited by a copy, since this name is too long for what the header has left" "$dir/edited.gguf"
cp "$dir/edited.gguf" "$dir/again.gguf"
"$dir/split" -name "phi-3, edited once more, in the room that the copy has kept, though this name is longer still" "$dir/again.gguf"
first+=("$dir/edited.gguf" "$dir/again.gguf")
node gguf/testdata/llamacpp_check.mjs "$npm" "${first[@]}"
