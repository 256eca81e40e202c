package classifier

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/label"
)

// headInfo is judge.json.
type headInfo struct {
	Version int      `json:"version"`
	Width   int      `json:"width"`
	Classes []string `json:"classes"`
	Options Options  `json:"options"`
}

// Names of a saved judge's files.
const (
	headFile = "head.safetensors"
	infoFile = "judge.json"
)

// ErrFormat says that a saved head is damaged or of another kind.
var ErrFormat = errors.New("classifier: not a head of this library")

func classNames() (names []string) {
	for _, c := range label.Classes() {
		names = append(names, c.String())
	}
	return names
}

// SaveHead writes the head and the options it was trained with. judge.json comes
// last and completes it.
func SaveHead(dir string, h *Head, opts Options) error {
	if opts.Hidden != h.Hidden {
		return fmt.Errorf("%w: hidden layer of %d, options say %d", ErrShape, h.Hidden, opts.Hidden)
	}
	info, err := json.MarshalIndent(headInfo{1, h.Width, classNames(), opts}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err = atomicfile.WriteFile(filepath.Join(dir, headFile), 0o644, func(w io.Writer) error {
		return safetensors.Write(w, tensors("", h.params()), nil)
	})
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, infoFile), 0o644, func(w io.Writer) error {
		_, err := w.Write(append(info, '\n'))
		return err
	})
}

func tensors(prefix string, params []param) (out []safetensors.Tensor) {
	for _, p := range params {
		out = append(out, safetensors.F32Tensor(prefix+p.name, p.shape, p.data))
	}
	return out
}

// LoadHead reads what SaveHead wrote and refuses other classes and shapes.
func LoadHead(fsys fs.FS) (*Head, Options, error) {
	var info headInfo
	b, err := fs.ReadFile(fsys, infoFile)
	if err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %w", err)
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return nil, info.Options, fmt.Errorf("%w: %s: %w", ErrFormat, infoFile, err)
	}
	if info.Version != 1 || !slices.Equal(info.Classes, classNames()) {
		return nil, info.Options, fmt.Errorf("%w: %s: version %d, classes %v", ErrFormat, infoFile, info.Version, info.Classes)
	}
	if info.Width < 1 || info.Width > 1<<20 || info.Options.Hidden < 0 || info.Options.Hidden > 1<<20 {
		return nil, info.Options, fmt.Errorf("%w: %s: width %d, hidden %d", ErrFormat, infoFile, info.Width, info.Options.Hidden)
	}
	data, err := fs.ReadFile(fsys, headFile)
	if err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %w", err)
	}
	r, err := safetensors.NewReader(bytes.NewReader(data), int64(len(data)), safetensors.DefaultLimits())
	if err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %s: %w", headFile, err)
	}
	h := &Head{Classes: label.Count, Width: info.Width, Hidden: info.Options.Hidden}
	if err := h.read(r, ""); err != nil {
		return nil, info.Options, fmt.Errorf("classifier: %s: %w", headFile, err)
	}
	return h, info.Options, nil
}

// read fills the weights from tensors of the right shapes; sizes of h are set already.
func (h *Head) read(r *safetensors.Reader, prefix string) error {
	var loaded [][]float32
	for _, p := range h.params() {
		info, ok := r.Info(prefix + p.name)
		if !ok || !slices.Equal(info.Shape, p.shape) {
			return fmt.Errorf("%w: tensor %s has shape %v, want %v", ErrFormat, prefix+p.name, info.Shape, p.shape)
		}
		data, err := r.Float32(prefix + p.name)
		if err != nil {
			return err
		}
		loaded = append(loaded, data)
	}
	h.W, h.B = loaded[0], loaded[1]
	if h.Hidden > 0 {
		h.HiddenW, h.HiddenB = loaded[2], loaded[3]
	}
	return nil
}
