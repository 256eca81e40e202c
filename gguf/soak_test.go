package gguf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestSoak runs BOREA_GGUF_FUZZ mutated files through each target, from seed
// BOREA_GGUF_FUZZ_SEED on, on one processor and far faster than go test -fuzz.
// Without the variable a few thousand keep the targets sound.
func TestSoak(t *testing.T) {
	n, seed := 3000, uint64(1)
	if v := environment(t, "BOREA_GGUF_FUZZ"); v > 0 {
		n = v
	}
	if v := environment(t, "BOREA_GGUF_FUZZ_SEED"); v > 0 {
		seed = uint64(v)
	}
	all := specimens(func(opts WriterOptions, fill func(*Writer)) []byte { return write(t, opts, fill) })
	for _, target := range soakTargets {
		t.Run(target.name, func(t *testing.T) {
			start := time.Now()
			accepted := soak(t, target, all, n, seed)
			t.Logf("%d executions from seed %d, %d accepted, %.0f a second", n, seed, accepted, float64(n)/time.Since(start).Seconds())
		})
	}
}

// environment returns a number, 0 if the variable is not set.
func environment(t *testing.T, name string) int {
	v := os.Getenv(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s = %q", name, v)
	}
	return n
}

// A soakTarget is given a hostile file and tells whether it was accepted, or what
// is wrong with how it was taken.
type soakTarget struct {
	name string
	run  func(m *mutator, b []byte) (bool, error)
}

var soakTargets = []soakTarget{
	{"reader", soakReader}, {"editor", soakEditor}, {"split", soakSplit}, {"imatrix", soakImatrix}, {"journal", soakJournal},
}

// Executions are checked for what they allocated in groups, since asking costs
// more than one of them. perFile and perByte bound what one file may cost: readers
// hold a header in memory, and a target may read a file several times.
const (
	soakGroup = 64
	perFile   = 1 << 16
	perByte   = 256
)

func soak(t *testing.T, target soakTarget, all []*specimen, n int, seed uint64) int {
	switch target.name {
	case "imatrix":
		all = append(slices.Clone(all), legacySpecimen(), legacySpecimen(), legacySpecimen())
	case "split":
		all = splitSpecimens(t)
	case "journal":
		all = journalSpecimens()
	}
	m := &mutator{state: seed * 0x632be59bd9b4e019}
	accepted, budget := 0, uint64(0)
	used := allocated()
	for i := range n {
		b := m.mutate(all[m.intn(len(all))], all[m.intn(len(all))])
		ok, err := soakOne(target, m, b)
		if err != nil {
			t.Fatalf("execution %d of seed %d: %v\n%q", i, seed, err, b)
		}
		if ok {
			accepted++
		}
		budget += perFile + perByte*uint64(len(b))
		if i%soakGroup == soakGroup-1 || i == n-1 {
			now := allocated()
			if now-used > budget {
				t.Fatalf("executions up to %d of seed %d allocated %d bytes, over %d", i, seed, now-used, budget)
			}
			used, budget = now, 0
		}
		if i%5_000_000 == 4_999_999 {
			t.Logf("%d executions", i+1)
		}
	}
	return accepted
}

// soakOne makes a panic an error, so that it is reported with its input.
func soakOne(target soakTarget, m *mutator, b []byte) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return target.run(m, b)
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// fenced fails reads outside of the file, which bytes.Reader would answer quietly.
type fenced struct {
	b       []byte
	outside error
}

func (f *fenced) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(f.b)) || int64(len(p)) > int64(len(f.b))-off {
		f.outside = fmt.Errorf("%d bytes at %d of %d were asked for", len(p), off, len(f.b))
		return 0, f.outside
	}
	return copy(p, f.b[off:]), nil
}

func soakReader(_ *mutator, b []byte) (bool, error) {
	f := &fenced{b: b}
	r, err := NewReader(f, int64(len(b)), DefaultReaderOptions())
	if err == nil {
		err := soundTensors(r, int64(len(b)))
		return true, errorsFirst(f.outside, err)
	}
	return false, f.outside
}

func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// soundTensors reads every tensor of an accepted file: all must be there.
func soundTensors(r *Reader, size int64) error {
	end := r.DataOffset()
	for name, x := range r.Tensors() {
		if x.Offset < end || x.Size < 0 || x.Offset > size-x.Size {
			return fmt.Errorf("%s at %d+%d lies outside of %d bytes", name, x.Offset, x.Size, size)
		}
		end = x.Offset + x.Size
		var bad *NumberError
		if err := x.Check(context.Background()); err != nil && !errors.As(err, &bad) {
			return err
		}
		if x.Type.Encodable() {
			if _, err := x.Float32(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		} else if n, err := io.Copy(io.Discard, x.Section()); n != x.Size || err != nil {
			return fmt.Errorf("%s: %d of %d bytes: %w", name, n, x.Size, err)
		}
	}
	return nil
}

// soakJournal takes bytes for a journal.
func soakJournal(_ *mutator, b []byte) (bool, error) {
	sealed := b
	if len(b) > sha256.Size { // half of the time with the right hash
		if b[len(b)-1]&1 == 0 {
			body := b[:len(b)-sha256.Size]
			sum := sha256.Sum256(body)
			sealed = append(slices.Clone(body), sum[:]...)
		}
	}
	j, ok := decodeJournal(sealed)
	if !ok {
		return false, nil
	}
	if j.at < 0 || j.at+int64(len(j.old)) > j.header || len(j.old) != len(j.fresh) {
		return true, fmt.Errorf("a journal of %d+%d bytes at %d of %d", len(j.old), len(j.fresh), j.at, j.header)
	}
	if j.header < 1<<16 {
		j.fits(make([]byte, j.header))
	}
	return true, nil
}

func journalSpecimens() []*specimen {
	old := bytes.Repeat([]byte{1, 2}, 60)
	fresh := slices.Clone(old)
	copy(fresh[40:], "something else")
	b := newJournal(old, fresh, 500).encode()
	at := len(journalMark)
	return []*specimen{{b: b, order: binary.LittleEndian, fields: []field{{at, 8}, {at + 8, 8}, {at + 16, 8}}}}
}

// legacySpecimen is an importance matrix in the older form.
func legacySpecimen() *specimen {
	b := (&raw{}).u32(2, 1).bytes('a').u32(3, 2, 0x3f800000, 0x40000000).u32(1).bytes('b').u32(0, 1, 0).b
	s := &specimen{b: b, order: binary.LittleEndian}
	for _, at := range []int{0, 4, 9, 13, 17, 21, 25, 30, 34, 38} {
		s.fields = append(s.fields, field{at, 4})
	}
	return s
}

// soakImatrix takes files for importance matrices, new and old.
func soakImatrix(_ *mutator, b []byte) (bool, error) {
	_, oldErr := ReadLegacyImatrix(bytes.NewReader(b), int64(len(b)))
	f := &fenced{b: b}
	r, err := NewReader(f, int64(len(b)), DefaultReaderOptions())
	if err == nil {
		_, err = ReadImatrix(r)
	}
	return err == nil || oldErr == nil, f.outside
}
