// Package classifier trains and uses a four-class judge: a focal loss, a small head, and
// any source of feature vectors behind the Backbone interface.
//
//	loss, err := classifier.FocalLoss{Gamma: 2}.Hard(logits, 4, targets, classifier.ReduceMean, grad)
//
// The loss works alone on plain slices. Train runs a head, linear or with a hidden layer,
// over a frozen Backbone (Vectors holds features from a file), or together with a
// TrainableBackbone such as a language model with adapters. Judge.Predict fails closed:
// what cannot be read or scored becomes ESCALATION and is counted.
//
// A run can be stopped between any two steps and goes on to the same bits, with a store
// of package checkpoint in Env.
//
// Files: focal.go and focalrow.go the loss, balancedweights.go, head.go its layers,
// headfile.go the saved form, adam.go the optimiser, options.go, train.go the loop,
// macrof1.go, resume.go and headstate.go checkpoints, judge.go predicting, backbone.go the
// interfaces, vectors.go, naivebayes.go the baseline to beat.
//
// What it does not do: it computes no features itself, clips head and backbone together
// (each has its own norm), or evaluates anything beyond the macro F1 that early stopping
// needs; see package eval. A training text that the backbone refuses ends the training
// with its error: only predictions fail closed.
package classifier
