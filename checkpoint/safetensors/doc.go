// Package safetensors reads and writes the safetensors format: an 8-byte
// little-endian header length, a JSON header, and the tensors' bytes without
// gaps (https://github.com/huggingface/safetensors, README, "Format").
//
// Headers are treated as hostile: lengths are checked before anything is
// allocated, and the tensors must cover the data exactly, without holes,
// overlaps or trailing bytes.
//
// Files: format.go types and limits, reader.go one file, model.go a sharded
// model directory, writer.go writing, float16.go number formats.
//
// What it does not do: it maps no memory, reads no pickle files and converts
// no types other than widening to float32.
package safetensors
