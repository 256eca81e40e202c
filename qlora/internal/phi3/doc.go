// Package phi3 states the Phi-3 model once: weights, forward, backward and
// cached decoding, written against compute.Device.
//
// Structure and names follow the transformers implementation (modeling_phi3):
// pre-norm blocks with RMSNorm, a fused query/key/value projection, rotary
// positions by halves, grouped heads, a fused gate/up projection whose gate half
// comes first, and no biases.
//
// Files: weights.go loading, rope.go rotary tables, batch.go packing, tuning.go
// adapters and gates, pass.go a whole forward and backward, layer.go one block,
// decode.go the key/value cache.
//
// What it does not do: it samples no tokens, owns no optimiser and reads no
// other architecture.
package phi3
