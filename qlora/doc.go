// Package qlora loads a Phi-3 model, uses it and fine-tunes it with low-rank
// adapters over frozen, quantised weights.
//
//	m, err := qlora.Load(ctx, dir, qlora.DefaultLoadOptions(), qlora.Env{})
//	for id, err := range m.Generate(ctx, ids, qlora.DefaultGenerateOptions()) { … }
//
// Files: model.go loading, generate.go and sample.go text, score.go
// log-probabilities and features, options.go every knob of training, data.go
// samples to examples, plan.go the order of batches, trainer.go the loop,
// state.go exact resume, params.go trainable parameters, schedule.go the
// learning rate, adapter.go and peft.go PEFT's files, merge.go folding an
// adapter and gates into the weights, memory.go what a training will take,
// quantreport.go what a weight format costs each linear, smoothing.go less of it,
// backbone.go the classifier's backbone,
// tensorboard.go and trainlog.go logs.
//
// Glossary: B batch, T tokens, C hidden size, H heads, D head size, F MLP size,
// V vocabulary, R LoRA rank.
//
// What it does not do: full fine-tuning, architectures other than Phi-3, and
// more than one call or training run at a time on one Model (GenerateBatch takes
// several prompts in one call).
package qlora
