// Package compute states the operations that a Phi-3 layer needs, forward and
// backward, as one interface that every device implements.
//
// Shapes use the glossary B batch, T tokens, C hidden size, H query heads, K
// key/value heads, D head size, F MLP size, V vocabulary, R LoRA rank. All
// matrices are row-major. A packed batch of several documents is one matrix of
// T tokens; Sequence says where each document starts.
//
// Operations are asynchronous: they return nothing, and the first failure
// stays with the device until Sync returns it. Every size that can change
// between steps of one shape (learning rate, step, seeds, document starts)
// lies in device memory, so that a step can be captured and replayed.
//
// What it does not do: it knows no model, no optimiser schedule and no file.
package compute
