// Package classifier trains and uses a four-class judge: a focal loss, a linear
// head, and any source of feature vectors behind the small Backbone interface.
//
//	loss, grad, err := classifier.FocalLoss{Gamma: 2, Weights: w}.Mean(logits, targets)
//
// The loss works alone on plain slices. Train runs a head over a frozen Backbone,
// or together with a TrainableBackbone such as a language model with adapters.
// Predict fails closed: what cannot be read or scored becomes ESCALATION and is
// counted.
//
// Files: focal.go the loss, head.go the head, adam.go its optimiser, train.go the
// loop, resume.go checkpoints, judge.go saving and predicting, backbone.go.
//
// What it does not do: it computes no features itself, has no multi-layer head,
// and evaluates nothing beyond the macro F1 that early stopping needs; see
// package eval.
package classifier
