// Package gguf reads and writes GGUF files, the model format of llama.cpp, and
// converts a Phi-3 model directory in Hugging Face layout into one.
//
//	r, err := gguf.NewReader(file, size, gguf.DefaultReaderOptions())
//	for name, t := range r.Tensors() { … t.Float32() … }
//
//	w, err := gguf.NewWriter(file, gguf.DefaultWriterOptions())
//	w.SetString("general.architecture", "phi3")
//	w.AddTensor(gguf.TensorInfo{Name: "output.weight", Type: gguf.Q6_K, Shape: []int{rows, cols}}, gguf.Values(weights))
//	err = w.Close(ctx)
//
//	report, err := gguf.ConvertHF(ctx, os.DirFS("model"), file, gguf.DefaultConvertOptions(), gguf.Env{})
//
// OpenFile opens a file, or all parts of a split one as one; SplitFile and MergeFile
// cut and join; EditFile changes metadata, in place where there is room;
// ConvertLoRAFile makes an adapter, ToHFDir a model directory of a file.
//
// The format is that of ggml's docs/gguf.md. Quantizers give the bytes of the
// reference library ggml (ggml-quants.c), block for block, with and without an
// importance matrix: float32 arithmetic in the reference's order of operations,
// every product rounded by an explicit float32 conversion, because Go may
// otherwise fuse a product with a sum (arm64, s390x, GOAMD64=v3) and the search
// for the best scale would then end elsewhere.
//
// A recipe such as Q5_K_M names a mix; which tensor takes which type follows a
// policy of a given version of llama.cpp, named in Policy.
//
// Shapes are in the order of Hugging Face files, [rows, columns]; the file holds
// them reversed.
//
// Files: reader.go, decode_header.go, decode_value.go reading; writer.go,
// writer_parts.go, encode_header.go, source.go writing; image.go copying; split.go,
// open.go parts; edit.go, journal.go editing; check.go damaged weights; type.go,
// tensor.go, value.go, metadata.go, errors.go what a file is made of; quantize.go,
// quant_*.go blocks; recipe.go, imatrix.go mixes; convert.go, phi3.go, vocabulary.go,
// lora.go, peft.go, tohf.go directories.
//
// What it does not do: run a model; quantize to the IQ, TQ, MXFP4 and other types
// that Type.Encodable denies (they are listed, sized and copied as bytes); convert
// other architectures than phi3; write version 1 or 2; nest arrays, as llama.cpp
// refuses them too; read tensors that do not lie one behind the other, which
// llama.cpp refuses too; convert DoRA, embedding or unfused adapters; store training
// data or multimodal projectors; write importance matrices.
package gguf
