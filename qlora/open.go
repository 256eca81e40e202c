package qlora

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/so8t"
)

// BundledModelPath is where the repository keeps its small model.
const BundledModelPath = "examples/fullpipeline/model"

// ErrNoModel says that no model was named and none was found.
var ErrNoModel = errors.New("qlora: no model: name a directory with -model, or run from inside the repository, whose small model lies in " + BundledModelPath)

// FindBundledModel looks for BundledModelPath in the working directory and
// every folder above it.
func FindBundledModel() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, filepath.FromSlash(BundledModelPath))
		if _, err := os.Stat(filepath.Join(path, "config.json")); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoModel
		}
		dir = parent
	}
}

// OpenWithAdapter is what a small program needs: Load from dir, or the bundled
// model when dir is "", and Attach the adapter unless it is "".
func OpenWithAdapter(ctx context.Context, dir, adapter string, opts LoadOptions, env Env) (*Model, error) {
	if dir == "" {
		var err error
		if dir, err = FindBundledModel(); err != nil {
			return nil, err
		}
	}
	m, err := Load(ctx, dir, opts, env)
	if err != nil || adapter == "" {
		return m, err
	}
	a, err := LoadAdapter(os.DirFS(adapter))
	if err == nil {
		err = m.Attach(a)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", adapter, err), m.Close())
	}
	return m, nil
}

// Files of an adapter with gates: the factors under another name than PEFT's, so
// that no other program takes them for a whole adapter, and the gates.
const (
	gatedWeightsFile = "gated_adapter_model.safetensors"
	gatesFile        = "so8t.safetensors"
)

// Save writes the adapter so that LoadAdapter reads it: a PEFT directory, or
// with gates the same under a name PEFT does not know, plus the gates.
func (a *Adapter) Save(dir string) error {
	if a.Gates == nil {
		return a.WriteDir(dir, WriteOptions{})
	}
	plain := *a
	plain.Gates = nil
	files, err := plain.WriteFiles(WriteOptions{})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	write := func(name string, f func(io.Writer) error) {
		if err == nil {
			err = atomicfile.WriteFile(filepath.Join(dir, name), 0o644, f)
		}
	}
	raw := func(b []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(b); return err }
	}
	write(gatesFile, func(w io.Writer) error { return so8t.Write(w, a.Gates) })
	write(gatedWeightsFile, raw(files[peftWeightsFile]))
	write(peftConfigFile, raw(files[peftConfigFile]))
	return err
}

// LoadAdapter reads what Save wrote, or any PEFT LoRA directory for Phi-3.
func LoadAdapter(fsys fs.FS) (*Adapter, error) {
	if !exists(fsys, gatesFile) {
		return ReadAdapter(fsys)
	}
	a, err := readAdapter(fsys, gatedWeightsFile)
	if err != nil {
		return nil, err
	}
	b, err := fs.ReadFile(fsys, gatesFile)
	if err != nil {
		return nil, err
	}
	r, err := safetensors.NewReader(bytes.NewReader(b), int64(len(b)), safetensors.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", gatesFile, err)
	}
	a.Gates, err = so8t.Read(r)
	return a, err
}
