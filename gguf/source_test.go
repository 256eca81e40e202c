package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// Every bfloat16, at every length and place, NaN and all.
func TestBfloat16Source(t *testing.T) {
	b := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(b[2*i:], uint16(i))
	}
	source := bfloat16s(bytes.NewReader(b))
	rng := rand.New(rand.NewPCG(2, 2))
	check := func(first, n int) {
		dst := make([]float32, n)
		if err := source.Float32(first, dst); err != nil {
			t.Fatal(err)
		}
		for i, v := range dst {
			if want := safetensors.FromBF16(uint16(first + i)); math.Float32bits(v) != math.Float32bits(want) {
				t.Fatalf("element %d of %d+%d is %v, want %v", i, first, n, v, want)
			}
		}
	}
	check(0, 1<<16)
	for range 100 {
		n := rng.IntN(40)
		check(rng.IntN(1<<16-n), n)
	}
	if err := source.Float32(1<<16-3, make([]float32, 4)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
