package classifier

import (
	"context"
	"fmt"
	"io"
)

// Backbone turns texts into pooled features.
type Backbone interface {
	// Width is the number C of features a text.
	Width() int
	// Features returns [len(texts), Width] row by row. The features of a text must
	// not depend on the other texts. A text that cannot be used gives an *InputError.
	Features(ctx context.Context, texts []string) ([]float32, error)
}

// TrainableBackbone is a Backbone whose own parameters learn together with the head.
type TrainableBackbone interface {
	Backbone
	// Forward is Features in training mode; step keys its random numbers, so that
	// equal steps give equal bits. It keeps what Backward needs.
	Forward(ctx context.Context, texts []string, step int64) ([]float32, error)
	// Backward takes dL/dfeatures [B, Width] of the last Forward and adds to the
	// gradients.
	Backward(ctx context.Context, grad []float32) error
	// Step does one optimiser step at rate lr, with the gradients clipped to norm
	// clip (0: not clipped), and clears them.
	Step(ctx context.Context, lr, clip float64) error
	// Save returns the state by file name: weights, moments, counters. It is a
	// snapshot: later steps do not change it.
	Save() (map[string]func(io.Writer) error, error)
	// Load restores what Save wrote.
	Load(open func(name string) (io.ReadCloser, error)) error
}

// InputError says that one text of a batch cannot be used: unreadable, or longer
// than the backbone takes. Predict answers ESCALATION for it.
type InputError struct {
	// Index is the text's position in the batch.
	Index int
	// Err is the reason.
	Err error
}

// Error implements error.
func (e *InputError) Error() string { return fmt.Sprintf("text %d: %v", e.Index, e.Err) }

// Unwrap returns the reason.
func (e *InputError) Unwrap() error { return e.Err }
