package qlora

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// BackboneOptions configures the model as a classifier's trainable backbone.
type BackboneOptions struct {
	// Options gives rank, alpha, dropout, targets and the optimiser's constants;
	// the loop's own fields are ignored, since the classifier runs the loop.
	Options Options `json:"options" yaml:"options"`
	// MaxTokens is the longest text; a longer one is a classifier.InputError.
	MaxTokens int `json:"max_tokens" yaml:"max_tokens"`
	// BatchTokens bounds the tokens of one training batch.
	BatchTokens int `json:"batch_tokens" yaml:"batch_tokens"`
}

// Backbone pools the final hidden state of a Phi-3 model, masked mean over each
// text's tokens, and trains adapters below a classifier's head. Texts are packed
// without padding, so features do not depend on the rest of the batch. It
// satisfies classifier.TrainableBackbone.
type Backbone struct {
	m      *Model
	opts   BackboneOptions
	tr     *trainable
	pass   *phi3.Pass
	random compute.Buffer
	hyper  compute.Buffer
	acc    compute.Buffer
	offset compute.Buffer
	pooled compute.Buffer
	batch  *phi3.Batch // of the last Forward
	step   int         // optimiser steps done
}

var _ classifier.TrainableBackbone = (*Backbone)(nil)

// NewBackbone allocates a trainable backbone over m.
func NewBackbone(m *Model, o BackboneOptions) (*Backbone, error) {
	if m.tok == nil {
		return nil, ErrNoTokenizer
	}
	if err := o.Options.Validate(); err != nil {
		return nil, err
	}
	if o.MaxTokens < 1 || o.MaxTokens > m.cfg.MaxPosition || o.BatchTokens < o.MaxTokens {
		return nil, &OptionError{"max_tokens", o.MaxTokens, fmt.Sprintf("1 to batch_tokens (%d)", o.BatchTokens)}
	}
	m.net.Fit(o.MaxTokens)
	m.held++
	d := m.dev
	b := &Backbone{m: m, opts: o, tr: newTrainable(m, o.Options)}
	b.pass = m.net.NewPass(o.BatchTokens, phi3.Train, b.tr.tuning)
	b.random, b.hyper, b.acc = d.Alloc(compute.I32, 4), d.Alloc(compute.F32, compute.HyperCount), d.Alloc(compute.F32, 1)
	b.offset = d.Alloc(compute.I32, o.BatchTokens+1)
	b.pooled = d.Alloc(d.Real(), o.BatchTokens*m.cfg.HiddenSize)
	return b, d.Sync()
}

// Width returns the hidden size.
func (b *Backbone) Width() int { return b.m.cfg.HiddenSize }

// Adapter returns a copy of the trained factors.
func (b *Backbone) Adapter() (*Adapter, error) { return b.tr.adapter() }

// Features returns pooled features in evaluation mode, [len(texts), Width].
func (b *Backbone) Features(ctx context.Context, texts []string) ([]float32, error) {
	var out []float32
	for first := 0; first < len(texts); {
		batch, n, err := b.pack(texts[first:], first)
		if err != nil {
			return nil, err
		}
		f, err := b.run(ctx, batch, compute.Random{})
		if err != nil {
			return nil, err
		}
		out, first = append(out, f...), first+n
	}
	return out, nil
}

// Forward is Features in training mode; step keys the dropout.
func (b *Backbone) Forward(ctx context.Context, texts []string, step int64) ([]float32, error) {
	batch, n, err := b.pack(texts, 0)
	if err != nil {
		return nil, err
	}
	if n < len(texts) {
		return nil, fmt.Errorf("qlora: a training batch of %d texts exceeds %d tokens; lower the batch size", len(texts), b.opts.BatchTokens)
	}
	b.m.dev.Upload(b.random, randomState(b.opts.Options.Seed, uint64(step)))
	b.batch = batch
	return b.run(ctx, batch, compute.Random{State: b.random})
}

// pack fills a batch with as many texts as fit; first numbers them for errors.
func (b *Backbone) pack(texts []string, first int) (*phi3.Batch, int, error) {
	batch := &phi3.Batch{}
	for i, text := range texts {
		ids := append([]int32{b.m.cfg.BOS}, b.m.tok.EncodePlain(text)...)
		if len(ids) > b.opts.MaxTokens {
			err := fmt.Errorf("%d tokens, at most %d", len(ids), b.opts.MaxTokens)
			return nil, 0, &classifier.InputError{Index: first + i, Err: err}
		}
		if batch.Len()+len(ids) > b.opts.BatchTokens {
			return batch, i, nil
		}
		batch.Add(ids, nil)
	}
	return batch, len(texts), nil
}

func (b *Backbone) run(ctx context.Context, batch *phi3.Batch, rnd compute.Random) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	d, c, off := b.m.dev, b.m.cfg.HiddenSize, batch.Offsets()
	if err := b.pass.Load(batch); err != nil {
		return nil, err
	}
	b.pass.Forward(rnd)
	n := len(off) - 1
	d.Upload(b.offset.Slice(0, n+1), off)
	d.MeanPool(b.pooled, b.pass.Hidden(), b.offset, n, c)
	f := make([]float32, n*c)
	return f, d.Download(f, b.pooled.Slice(0, n*c))
}

// Backward takes dL/dfeatures of the last Forward and adds to the adapters'
// gradients.
func (b *Backbone) Backward(_ context.Context, grad []float32) error {
	if b.batch == nil {
		return errors.New("qlora: Backward without Forward")
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	d, c := b.m.dev, b.m.cfg.HiddenSize
	n := len(b.batch.Documents())
	if len(grad) != n*c {
		return fmt.Errorf("qlora: gradient of %d values for %d texts of width %d", len(grad), n, c)
	}
	d.Upload(b.pooled.Slice(0, n*c), grad)
	d.Zero(b.pass.HiddenGrad())
	d.MeanPoolBackward(b.pass.HiddenGrad(), b.pooled, b.offset, n, c)
	b.pass.Backward()
	b.batch = nil
	return d.Sync()
}

// Step runs one AdamW step at rate lr with gradients clipped to norm clip.
func (b *Backbone) Step(_ context.Context, lr, clip float64) error {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	b.step++
	b.m.dev.Upload(b.hyper, b.opts.Options.hyper(lr, b.step))
	norm, err := b.tr.optimise(b.hyper, b.acc, clip)
	if err == nil && bad(norm) {
		err = &DivergedError{Step: b.step, Norm: norm}
	}
	return err
}

// backboneState is the file that Save makes.
const backboneState = "backbone.safetensors"

// Save returns a snapshot of adapters, moments and the step count.
func (b *Backbone) Save() (map[string]func(io.Writer) error, error) {
	tensors, err := b.tr.snapshot()
	meta := map[string]string{"step": fmt.Sprint(b.step), "model": b.m.fingerprint}
	return map[string]func(io.Writer) error{
		backboneState: func(w io.Writer) error { return safetensors.Write(w, tensors, meta) },
	}, err
}

// Load restores what Save wrote.
func (b *Backbone) Load(open func(name string) (io.ReadCloser, error)) error {
	f, err := open(backboneState)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	r, err := safetensors.NewReader(bytes.NewReader(data), int64(len(data)), safetensors.DefaultLimits())
	if err != nil {
		return err
	}
	if r.Metadata()["model"] != b.m.fingerprint {
		return &MismatchError{"base weights"}
	}
	if _, err := fmt.Sscan(r.Metadata()["step"], &b.step); err != nil {
		return fmt.Errorf("qlora: %s: step: %w", backboneState, err)
	}
	return b.tr.restore(r)
}
