// Package classifier trains and runs the four-class judge: a small head over the
// pooled features of a Backbone, with focal loss, early stopping on macro F1,
// checkpoints with exact resume, and predictions that fail closed.
//
// FocalLoss works alone on plain slices. Train and Predict know the backbone only
// through an interface, so features may come from a file (Vectors), from hashed
// character n-grams (NGrams) or from a language model that is fine-tuned together
// with the head (TrainableBackbone).
//
// Files: focal.go the loss, classweights.go weights from counts, head.go the layers,
// adamw.go and schedule.go the optimiser, backbone.go the interfaces, vectors.go and
// ngrams.go two backbones without a model, options.go, train.go the loop, steps.go one
// step, screen.go the first pass over the data, progress.go what is reported,
// resume.go checkpoints, predict.go, decide.go, file.go the saved form.
//
// What it does not do: it computes no metrics beyond those that steer training
// (package eval does), pools no hidden states and holds no language model; the head
// and a backbone's own weights are clipped separately, each by its own norm.
package classifier
