// Package safetensors reads and writes the safetensors format: an 8-byte
// little-endian header length, a JSON header, and the tensors' bytes without
// gaps (https://github.com/huggingface/safetensors, README, "Format").
//
// Headers are treated as hostile: lengths are checked before anything is
// allocated, and the tensors must cover the data exactly, without holes,
// overlaps or trailing bytes.
//
// Files: format.go types and limits, header.go the hostile part, reader.go one
// file, model.go a sharded model directory, finite.go the search for NaN,
// map.go files used where they lie, writer.go writing, float16.go number formats.
//
// Stricter than the reference implementation: duplicate keys, unknown keys of a
// tensor, a null __metadata__, more than 8 dimensions and more than 100,000
// tensors are refused.
//
// What it does not do: it refuses pickle files (ErrPickleRefused) and types of less
// than a byte, and converts no types other than widening to float32.
package safetensors
