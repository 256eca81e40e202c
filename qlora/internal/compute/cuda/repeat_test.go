//go:build cuda && cgo && linux && amd64

package cuda

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// TestGraphEndsWhenScratchMoves: a recording knows the addresses of scratch memory,
// and refuses to run when an operation that needs more has moved it.
func TestGraphEndsWhenScratchMoves(t *testing.T) {
	need(t)
	d := open(t, DefaultOptions())
	acc, x := d.Alloc(compute.F32, 1), d.Alloc(compute.F32, 1000)
	large, start := d.Alloc(d.Real(), 1<<19), d.Alloc(compute.I32, 1<<19)
	step := func() { d.Zero(acc); d.SumSquares(acc, x) }
	step()
	g, err := d.Capture(step)
	if err != nil || !g.Replay() {
		t.Fatal(err)
	}
	if d.SumSquares(acc, x); !g.Replay() {
		t.Error("refused although nothing moved")
	}
	d.PET(acc, nil, large, compute.Sequence{Start: start}, acc, 0, 1<<19, 1)
	if g.Replay() {
		t.Error("replayed on memory that is no longer there")
	}
	if err := errors.Join(d.Sync(), g.Free(), d.Close()); err != nil {
		t.Error(err)
	}
}

// TestScratch: what is in use at once does not overlap, one block serves again
// what has been needed, and it is no larger.
func TestScratch(t *testing.T) {
	need(t)
	d := open(t, DefaultOptions())
	s := &scratch{mem: &budget{ctx: d.ctx}}
	take := func(n int) uint64 {
		p, err := s.take(n)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	use := func() {
		a := take(3 << 20)
		deep := s.depth()
		b := take(5 << 20)
		if b < a+3<<20 && a < b+5<<20 {
			t.Error("pieces overlap")
		}
		s.back(deep)
		take(6 << 20)
	}
	use()
	for range 2 {
		if err := s.reset(); err != nil {
			t.Fatal(err)
		}
		if moved := s.moved; s.mem.used != 10<<20 {
			t.Errorf("%d bytes held, moved %d times", s.mem.used, moved)
		}
		use()
	}
	if len(s.spill) != 0 {
		t.Error("spilled although there was room")
	}
	if err := errors.Join(s.free(), d.Close()); err != nil {
		t.Error(err)
	}
}

// TestSnapshot: the copy is of its moment, whatever is queued after Protect.
func TestSnapshot(t *testing.T) {
	need(t)
	d := open(t, DefaultOptions())
	f, u := d.Alloc(compute.F32, 1<<24), d.Alloc(compute.U8, 1001)
	for round := range 3 {
		want := normal(rand.New(rand.NewPCG(uint64(round), 1)), f.Len(), 1)
		d.Upload(f, want)
		codes := bytes.Repeat([]byte{byte(round + 1)}, 1001)
		d.Upload(u, codes)
		s, err := d.Snapshot([]compute.Buffer{f, u, f.Slice(5, 0)})
		if err != nil {
			t.Fatal(err)
		}
		s.Protect()
		d.Zero(f)
		d.Zero(u)
		parts, err := s.Contents()
		if err != nil || !bytes.Equal(parts[1], codes) || len(parts[2]) != 0 {
			t.Fatalf("codes %v (%v)", parts[1][:4], err)
		}
		for i, v := range want {
			if got := binary.LittleEndian.Uint32(parts[0][4*i:]); got != math.Float32bits(v) {
				t.Fatalf("round %d: value %d is %x, want %x", round, i, got, math.Float32bits(v))
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestTable: rows looked up in host memory are those of device memory.
func TestTable(t *testing.T) {
	need(t)
	d := open(t, DefaultOptions())
	const rows, cols, n = 1000, 384, 70
	values := normal(rand.New(rand.NewPCG(1, 2)), rows*cols, 1)
	src := func(first int, dst []float32) error { copy(dst, values[first*cols:]); return nil }
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i * 37 % rows)
	}
	id := d.Alloc(compute.I32, n)
	d.Upload(id, ids)
	for _, f := range []compute.Format{compute.FormatF32, compute.FormatBF16, compute.FormatInt8, compute.FormatNF4} {
		var out [2][]float32
		for i, store := range []func(compute.Format, int, int, compute.RowSource) (compute.Weight, error){d.Weight, d.Table} {
			before := d.MemoryReport().InUse
			w, err := store(f, rows, cols, src)
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 && (w.Bytes() != 0 || d.MemoryReport().InUse != before) {
				t.Errorf("%s: %d bytes of device memory", f, d.MemoryReport().InUse-before)
			}
			h := d.Alloc(d.Real(), n*cols)
			d.Embed(h, w, id, n, 0, compute.Sequence{}, compute.Random{})
			out[i] = append(out[i], normal(rand.New(rand.NewPCG(9, 9)), n*cols, 1)...)
			if err := d.Download(out[i], h); err != nil {
				t.Fatal(err)
			}
		}
		if fmt.Sprint(out[0]) != fmt.Sprint(out[1]) {
			t.Errorf("%s: rows of the table differ", f)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
