//go:build unix

package gguf

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A job of testdata/compare.py, which hands it over in BOREA_QUANTIZE.
type job struct {
	Type, Route, In, Imatrix, Out string
	Row                           int
	Decode                        bool
	Seconds                       float64 // repeat for so long, for the speed
}

// TestJob runs a job and prints the weights coded per second of processor time.
func TestJob(t *testing.T) {
	text := os.Getenv("BOREA_QUANTIZE")
	if text == "" {
		t.Skip("testdata/compare.py runs this with a job in BOREA_QUANTIZE")
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	if j.Route == "?" {
		fmt.Println("job:", strings.Trim(fmt.Sprint(routes()), "[]"))
		return
	}
	typ, err := ParseType(j.Type)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes() {
		if r.String() == j.Route {
			force(t, r)
			n, err := j.run(typ)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("job: %g\n", n)
			return
		}
	}
	t.Fatalf("no route %q here", j.Route)
}

func (j *job) run(typ Type) (perSecond float64, err error) {
	in, err := os.ReadFile(j.In)
	if err != nil {
		return 0, err
	}
	if j.Decode {
		dst := make([]float32, len(in)/typ.BlockBytes()*typ.BlockSize())
		perSecond, err = j.repeat(len(dst), func() error { return Dequantize(typ, dst, in) })
		out := make([]byte, 4*len(dst))
		encodeF32(out, dst, nil)
		return perSecond, j.write(out, err)
	}
	src, err := floatFile(j.In)
	if err != nil {
		return 0, err
	}
	var v []float32
	if j.Imatrix != "" {
		if v, err = floatFile(j.Imatrix); err != nil {
			return 0, err
		}
	}
	dst := make([]byte, len(src)/typ.BlockSize()*typ.BlockBytes())
	perSecond, err = j.repeat(len(src), func() error { return Quantize(typ, dst, src, j.Row, v) })
	return perSecond, j.write(dst, err)
}

func (j *job) write(out []byte, err error) error {
	if err != nil || j.Out == "" {
		return err
	}
	return os.WriteFile(j.Out, out, 0o644)
}

// repeat returns the weights per second of processor time, the best of the rounds.
func (j *job) repeat(weights int, f func() error) (best float64, err error) {
	for start := time.Now(); ; {
		before := processorTime()
		if err := f(); err != nil {
			return 0, err
		}
		if d := processorTime() - before; d > 0 {
			best = max(best, float64(weights)/d.Seconds())
		}
		if time.Since(start).Seconds() >= j.Seconds {
			return best, nil
		}
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func floatFile(name string) ([]float32, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out, nil
}
