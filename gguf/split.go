package gguf

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/borea-go/borea/internal/atomicfile"
)

// Keys of a file that is one part of several, as llama.cpp's llama-gguf-split
// writes them.
const (
	splitNo      = "split.no"
	splitCount   = "split.count"
	splitTensors = "split.tensors.count"
)

// maxParts is what five digits of a name can number, and split.count hold.
const maxParts = 65535

var splitPattern = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// SplitName returns the name of part no (from 0) of count, as llama.cpp looks for
// it: PREFIX-00001-of-00003.gguf.
func SplitName(prefix string, no, count int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, no+1, count)
}

// ParseSplitName takes such a name apart; no is from 0.
func ParseSplitName(name string) (prefix string, no, count int, ok bool) {
	m := splitPattern.FindStringSubmatch(name)
	if m == nil {
		return "", 0, 0, false
	}
	no, _ = strconv.Atoi(m[2]) // five digits
	count, _ = strconv.Atoi(m[3])
	return m[1], no - 1, count, no >= 1 && no <= count && count <= maxParts
}

// Join makes one Reader of the parts of a split file, in order. The metadata is
// the first part's without the split keys. Each part's number, the count of parts
// and the count of tensors must fit. A single file that is no part is returned as
// it is.
func Join(parts ...*Reader) (*Reader, error) {
	if len(parts) == 0 {
		return nil, fmt.Errorf("gguf: %w: no parts to join", ErrOption)
	}
	if _, part := parts[0].Value(splitCount); !part && len(parts) == 1 {
		return parts[0], nil
	}
	first := parts[0]
	out := &Reader{Metadata: first.clone(), r: first.r, size: first.size, version: first.version, order: first.order,
		alignment: first.alignment, data: first.data, byName: map[string]*Tensor{}}
	for no, p := range parts {
		if err := checkPart(p, no, len(parts)); err != nil {
			return nil, fmt.Errorf("part %d of %d: %w", no+1, len(parts), err)
		}
		for _, t := range p.tensors {
			if out.byName[t.Name] != nil {
				return nil, fmt.Errorf("part %d of %d: %w", no+1, len(parts), &TensorError{t.Name, fmt.Errorf("%w: is in an earlier part too", ErrFormat)})
			}
			out.tensors = append(out.tensors, t)
			out.byName[t.Name] = t
		}
	}
	want, err := first.LookupInteger(splitTensors)
	if err == nil && want != len(out.tensors) {
		err = &KeyError{splitTensors, fmt.Sprintf("is %d, the parts have %d tensors", want, len(out.tensors)), ErrFormat}
	}
	for _, key := range []string{splitNo, splitCount, splitTensors} {
		out.Delete(key)
	}
	return out, err
}

func checkPart(p *Reader, no, count int) error {
	if err := checkInteger(p, splitNo, no); err != nil {
		return err
	}
	return checkInteger(p, splitCount, count)
}

func checkInteger(p *Reader, key string, want int) error {
	got, err := p.LookupInteger(key)
	if err == nil && got != want {
		err = &KeyError{key, fmt.Sprintf("is %d, want %d", got, want), ErrFormat}
	}
	return err
}

// SplitOptions says where to cut a file.
type SplitOptions struct {
	// MaxBytes bounds each part's size, header included; a tensor that is larger gets
	// a part of its own. 0 for no bound (default), else at least 1.
	MaxBytes int64 `json:"max_bytes" yaml:"max_bytes"`
	// MaxTensors bounds each part's number of tensors; 0 for no bound, default 128 as
	// llama-gguf-split has it.
	MaxTensors int `json:"max_tensors" yaml:"max_tensors"`
	// EmptyFirst leaves the first part without tensors, so that metadata can be
	// fetched or replaced alone; default false.
	EmptyFirst bool `json:"empty_first" yaml:"empty_first"`
}

// DefaultSplitOptions returns the defaults named in SplitOptions.
func DefaultSplitOptions() SplitOptions { return SplitOptions{MaxTensors: 128} }

// Validate checks the ranges.
func (o SplitOptions) Validate() error {
	if o.MaxBytes < 0 || o.MaxTensors < 0 {
		return fmt.Errorf("gguf: %w: parts of %d bytes and %d tensors", ErrOption, o.MaxBytes, o.MaxTensors)
	}
	return nil
}

// Split returns the parts to write of a file, joined or not. The first part has
// all the metadata, the others only what makes them parts.
func Split(r *Reader, opts SplitOptions) ([]*Image, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	whole := NewImage(r)
	c := &cutter{opts: opts, alignment: r.Alignment()}
	if err := c.cut(whole); err != nil {
		return nil, err
	}
	if len(c.parts) > maxParts {
		return nil, fmt.Errorf("gguf: %w: %d parts, over %d", ErrLimit, len(c.parts), maxParts)
	}
	for no, p := range c.parts {
		p.SetUint16(splitNo, uint16(no))
		p.SetUint16(splitCount, uint16(len(c.parts)))
		p.SetInt32(splitTensors, int32(len(whole.tensors)))
	}
	return c.parts, nil
}

// cutter fills parts one after the other.
type cutter struct {
	opts      SplitOptions
	alignment uint32
	parts     []*Image
	header    int64 // bytes of the current part's header before padding
	data      int64 // and of its tensors with padding
}

func (c *cutter) cut(whole *Image) error {
	if err := c.open(&Image{Metadata: whole.clone(), big: whole.big}); err != nil {
		return err
	}
	for i, t := range whole.tensors {
		if i == 0 && c.opts.EmptyFirst || c.full(t) {
			next := &Image{big: whole.big}
			if v, ok := whole.Value(alignmentKey); ok {
				next.Set(alignmentKey, v)
			}
			if err := c.open(next); err != nil {
				return err
			}
		}
		p := c.parts[len(c.parts)-1]
		p.tensors = append(p.tensors, t)
		c.header += infoBytes(t.TensorInfo)
		c.data = c.dataWith(t)
	}
	return nil
}

// open starts a part; the split keys take as many bytes whatever their values are.
func (c *cutter) open(p *Image) error {
	p.SetUint16(splitNo, 0)
	p.SetUint16(splitCount, 0)
	p.SetInt32(splitTensors, 0)
	b, err := heading{&p.Metadata, nil, p.big, c.alignment}.plain()
	c.header, c.data = int64(len(b)), 0
	c.parts = append(c.parts, p)
	return err
}

// full reports whether t must go into a new part. One that is too large for any part
// has its own; so has metadata that leaves no room in the first.
func (c *cutter) full(t *Tensor) bool {
	if c.opts.MaxTensors > 0 && len(c.parts[len(c.parts)-1].tensors) >= c.opts.MaxTensors {
		return true
	}
	header, _ := padded(c.header+infoBytes(t.TensorInfo), c.alignment)
	return c.opts.MaxBytes > 0 && c.dataWith(t) > c.opts.MaxBytes-header
}

func (c *cutter) dataWith(t *Tensor) int64 {
	n, _ := padded(c.data+t.Size, c.alignment) // both are parts of files that were read
	return n
}

// infoBytes is the length of a tensor's description.
func infoBytes(t TensorInfo) int64 { return 8 + int64(len(t.Name)) + 4 + 8*int64(len(t.Shape)) + 4 + 8 }

// SplitFile cuts the file at path, which may be the first part of a split, into
// PREFIX-0000N-of-0000M.gguf and returns these paths. The first part, by which
// others are found, is written last, so that a set that was not finished is not
// taken for one.
func SplitFile(ctx context.Context, path, prefix string, opts SplitOptions, env Env) ([]string, error) {
	f, err := OpenFile(path, DefaultReaderOptions())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parts, err := Split(f.Reader, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	paths := make([]string, len(parts))
	all, err := newTotal(env, parts)
	if err != nil {
		return nil, err
	}
	for no := len(parts) - 1; no >= 0; no-- {
		paths[no] = SplitName(prefix, no, len(parts))
		if err := writeImage(ctx, parts[no], paths[no], all.env()); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// MergeFile joins the parts of which path is the first into the file at out.
func MergeFile(ctx context.Context, path, out string, env Env) error {
	f, err := OpenFile(path, DefaultReaderOptions())
	if err != nil {
		return err
	}
	defer f.Close()
	if same, err := filepath.Abs(path); err == nil {
		if other, err := filepath.Abs(out); err == nil && same == other {
			return fmt.Errorf("gguf: %w: %s would be merged onto itself", ErrOption, path)
		}
	}
	return writeImage(ctx, NewImage(f.Reader), out, env)
}

func writeImage(ctx context.Context, i *Image, path string, env Env) error {
	return atomicfile.WriteFile(path, 0o644, func(w io.Writer) error { return i.Encode(ctx, w, env) })
}

// total adds the progress of several images up.
type total struct {
	out        Env
	done, size int64
}

func newTotal(out Env, parts []*Image) (*total, error) {
	t := &total{out: out}
	for _, p := range parts {
		l, err := p.place()
		if err != nil {
			return nil, err
		}
		t.size += l.size - int64(len(l.header))
	}
	return t, nil
}

// env is for the next image.
func (t *total) env() Env {
	before := t.done
	return Env{Progress: func(done, _ int64) {
		t.done = before + done
		if t.out.Progress != nil {
			t.out.Progress(t.done, t.size)
		}
	}}
}
