package phi3gen

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// Mini is the shape of Phi-3.5-mini: 3,821,079,552 weights.
func Mini() Shape {
	return Shape{Hidden: 3072, Heads: 32, KVHeads: 32, Layers: 32, MLP: 8192, Vocab: 32064, EOS: 32000, Seed: 1}
}

// Virtual is a model directory that takes no room: weights are made when they are
// read, at the speed of a copy. They are drawn once for a table of 4 MiB, of which
// every stretch of the file repeats a part. Other files are those of tokenizer.
type Virtual struct {
	files map[string]virtualFile
	other fs.FS
}

// A virtualFile is bytes, followed by weights.
type virtualFile struct {
	head    []byte
	weights int64 // bytes
	table   []byte
}

const (
	tableBytes   = 4 << 20
	stretchBytes = 64 << 10
)

// NewVirtual returns the directory of a shape, in two shards.
func NewVirtual(s Shape, tokenizer fs.FS) (*Virtual, error) {
	config, err := json.Marshal(s.config())
	if err != nil {
		return nil, err
	}
	v := &Virtual{files: map[string]virtualFile{"config.json": {head: config}}, other: tokenizer}
	table := make([]byte, 0, tableBytes+stretchBytes)
	rng := rand.New(rand.NewPCG(s.Seed, 9))
	for len(table) < tableBytes+stretchBytes {
		table = binary.LittleEndian.AppendUint16(table, safetensors.BF16(float32(0.02*rng.NormFloat64())))
	}
	tensors := s.tensors()
	half := len(tensors) / 2
	weightMap := map[string]string{}
	for i, part := range [][]safetensors.Tensor{tensors[:half], tensors[half:]} {
		name := fmt.Sprintf("model-%05d-of-00002.safetensors", i+1)
		head, size, err := header(part)
		if err != nil {
			return nil, err
		}
		v.files[name] = virtualFile{head, size, table}
		for _, t := range part {
			weightMap[t.Name] = name
		}
	}
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{}, "weight_map": weightMap})
	v.files["model.safetensors.index.json"] = virtualFile{head: index}
	return v, err
}

// header returns what stands before the weights of a shard, and their bytes.
func header(tensors []safetensors.Tensor) ([]byte, int64, error) {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	entries, at := map[string]entry{}, int64(0)
	for _, t := range tensors {
		n := int64(2)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		entries[t.Name] = entry{"BF16", t.Shape, [2]int64{at, at + n}}
		at += n
	}
	b, err := json.Marshal(entries)
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), b...), at, err
}

// Open implements fs.FS.
func (v *Virtual) Open(name string) (fs.File, error) {
	f, ok := v.files[name]
	switch {
	case ok:
		return &openVirtual{f: f, name: name}, nil
	case name == ".":
		return &virtualDir{v: v}, nil
	}
	return v.other.Open(name)
}

type openVirtual struct {
	f    virtualFile
	name string
	at   int64
}

func (o *openVirtual) size() int64 { return int64(len(o.f.head)) + o.f.weights }

// ReadAt implements io.ReaderAt.
func (o *openVirtual) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	n := 0
	for n < len(p) && off < o.size() {
		part := o.f.stretch(off)
		k := copy(p[n:], part)
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// stretch returns bytes from off on.
func (f virtualFile) stretch(off int64) []byte {
	if off < int64(len(f.head)) {
		return f.head[off:]
	}
	off -= int64(len(f.head))
	k, within := uint64(off)/stretchBytes, off%stretchBytes
	from := int64(k*0x9e3779b97f4a7c15>>42) &^ 1 // 22 bits, even: 4 MiB
	return f.table[from+within : from+stretchBytes][:min(stretchBytes-within, f.weights-off)]
}

// Read implements fs.File.
func (o *openVirtual) Read(p []byte) (int, error) {
	n, err := o.ReadAt(p, o.at)
	o.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Stat implements fs.File.
func (o *openVirtual) Stat() (fs.FileInfo, error) { return virtualInfo{o.name, o.size(), 0o444}, nil }

// Close implements fs.File.
func (o *openVirtual) Close() error { return nil }

type virtualInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i virtualInfo) Name() string       { return i.name }
func (i virtualInfo) Size() int64        { return i.size }
func (i virtualInfo) Mode() fs.FileMode  { return i.mode }
func (i virtualInfo) ModTime() time.Time { return time.Time{} }
func (i virtualInfo) IsDir() bool        { return i.mode.IsDir() }
func (i virtualInfo) Sys() any           { return nil }

// virtualDir is the root.
type virtualDir struct {
	v    *Virtual
	done bool
}

// Stat implements fs.File.
func (d *virtualDir) Stat() (fs.FileInfo, error) { return virtualInfo{".", 0, fs.ModeDir | 0o555}, nil }

// Read implements fs.File.
func (d *virtualDir) Read([]byte) (int, error) { return 0, errors.New("is a directory") }

// Close implements fs.File.
func (d *virtualDir) Close() error { return nil }

// ReadDir implements fs.ReadDirFile.
func (d *virtualDir) ReadDir(int) ([]fs.DirEntry, error) {
	if d.done {
		return nil, io.EOF
	}
	d.done = true
	var out []fs.DirEntry
	for name, f := range d.v.files {
		out = append(out, fs.FileInfoToDirEntry(virtualInfo{name, int64(len(f.head)) + f.weights, 0o444}))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}
