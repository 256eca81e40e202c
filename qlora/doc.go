// Package qlora loads a Phi-3 model, uses it and fine-tunes it with low-rank
// adapters over frozen, quantised weights.
//
//	m, err := qlora.Load(ctx, dir, qlora.DefaultLoadOptions(), qlora.Env{})
//	for id, err := range m.Generate(ctx, ids, qlora.DefaultGenerateOptions()) { … }
//
// Files: model.go loading, generate.go and sample.go text, score.go
// log-probabilities and features, options.go every knob of training, data.go
// samples to examples, plan.go the order of batches, trainer.go the loop,
// parallel.go several devices, recorder.go work replayed as one graph, state.go
// exact resume, params.go trainable parameters, schedule.go the learning rate,
// adapter.go and peft.go PEFT's files, merge.go and mergerows.go folding an adapter
// and gates into the weights, memory.go what a training will take, quantreport.go
// what a weight format costs each linear, smoothing.go less of it, backbone.go the
// classifier's backbone, tensorboard.go and trainlog.go logs.
//
// # Several devices
//
// LoadOptions.Device "cuda:0,1" (or "cpu,cpu") holds a replica of the frozen model
// on each device. A Trainer deals a step's micro-batches out, number k to device k
// modulo their count, adds the gradients up on all devices once a step, and then
// makes the same update on each. A step is the same work on any number of devices:
// Options.Accumulation micro-batches in all, of BatchSize·MaxLength tokens at most,
// with loss weights that sum to 1 over the step and random numbers keyed by the
// micro-batch. Only the order of one sum depends on the devices, so that losses
// agree with those of one device to rounding; Accumulation is best a multiple of
// the number of devices, and at least that number.
//
// Gradients are added in the order of the list: NCCL moves them between GPUs, a
// kernel adds. Equal runs on as many devices give equal bits, also after a resume;
// a checkpoint of another number of devices is a DeviceCountError. Each checkpoint
// is preceded by a comparison of all replicas (ErrReplicas). A failing device ends
// the run with a DeviceError on all of them and leaves the last checkpoint as it
// was; after a loss in the middle of a sum the Model must be loaded anew. NCCL
// (libnccl.so.2, 2.7 or later) is loaded when a list names several GPUs, from the
// system's folders or the one that BOREA_NCCL_DIR names.
//
// Glossary: B batch, T tokens, C hidden size, H heads, D head size, F MLP size,
// V vocabulary, R LoRA rank.
//
// What it does not do: full fine-tuning, architectures other than Phi-3, more
// than one call or training run at a time on one Model (GenerateBatch takes several
// prompts in one call), several machines, models cut over devices, and anything but
// a Trainer on more than the first device of a list.
package qlora
