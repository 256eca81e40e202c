package classifier

import (
	"context"
	"fmt"
	"io"
)

// Backbone turns texts into feature vectors.
type Backbone interface {
	// Width is the length C of a vector.
	Width() int
	// Features returns [len(texts), C], row by row. The features of a text must not
	// depend on the other texts. A text that cannot be used is reported as an *InputError.
	Features(ctx context.Context, texts []string) ([]float32, error)
}

// TrainableBackbone also learns.
type TrainableBackbone interface {
	Backbone
	// Forward is Features in training mode; step keys its randomness. It keeps
	// what Backward needs.
	Forward(ctx context.Context, texts []string, step int64) ([]float32, error)
	// Backward takes dL/dfeatures [B, C] of the last Forward and adds to the
	// gradients.
	Backward(ctx context.Context, grad []float32) error
	// Step applies the gradients at rate lr, clipped to norm clip (0: not), and
	// clears them.
	Step(ctx context.Context, lr, clip float64) error
	// Save returns the state as files, a snapshot; Load restores it.
	Save() (map[string]func(io.Writer) error, error)
	Load(open func(name string) (io.ReadCloser, error)) error
}

// InputError says that one text of a batch cannot be used.
type InputError struct {
	Index int   // of the text in the batch
	Err   error // the reason
}

// Error implements error.
func (e *InputError) Error() string { return fmt.Sprintf("classifier: text %d: %v", e.Index, e.Err) }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }
