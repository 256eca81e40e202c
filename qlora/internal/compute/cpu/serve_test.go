//go:build unix && !noasm && amd64

package cpu

import (
	"bufio"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// TestServe is one side of testdata/gemm.py: for each line "what tokens in out
// repeat" on standard input it runs a product and prints the seconds it took, by
// the clock and of processors, and the number of operations.
func TestServe(t *testing.T) {
	if os.Getenv("BOREA_GEMM") == "" {
		t.Skip("set by testdata/gemm.py")
	}
	o := DefaultOptions()
	o.Path = os.Getenv("BOREA_GEMM")
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready", d.Name())
	work := map[string]func() float64{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var what string
		var n, cols, rows, repeat int
		if _, err := fmt.Sscan(in.Text(), &what, &n, &cols, &rows, &repeat); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(what, n, cols, rows)
		if work[key] == nil {
			work[key] = product1(t, d, what, n, cols, rows)
		}
		start, used := time.Now(), processorTime()
		operations := 0.0
		for range repeat {
			operations += work[key]()
		}
		fmt.Printf("%.6f %.6f %.0f\n", time.Since(start).Seconds(), (processorTime() - used).Seconds(), operations)
	}
}

// product1 returns a function that runs one product y [n, rows] = x [n, cols] Wᵀ,
// or for "back" x = y W, and returns its operations.
func product1(t *testing.T, d *Device, what string, n, cols, rows int) func() float64 {
	operations := 2 * float64(n) * float64(cols) * float64(rows)
	format := map[string]compute.Format{
		"f32": compute.FormatF32, "back": compute.FormatF32, "bf16": compute.FormatBF16, "int8": compute.FormatInt8, "int8back": compute.FormatInt8,
	}
	switch what {
	case "ceiling-f32":
		return func() float64 { return float64(d.kern.ceiling(1 << 20)) }
	case "ceiling-bf16":
		return func() float64 { return float64(d.kern.ceilingBF16(1 << 20)) }
	case "ceiling-int8":
		return func() float64 { return float64(d.kern.ints.ceiling(1 << 20)) }
	case "gonum":
		x, w, y := ramp(n*cols, 1), ramp(rows*cols, 2), make([]float32, n*rows)
		return func() float64 {
			gonum.Implementation{}.Sgemm(blas.NoTrans, blas.Trans, n, rows, cols, 1, x, cols, w, cols, 0, y, rows)
			return operations
		}
	}
	w, err := d.Weight(format[what], rows, cols, func(first int, dst []float32) error {
		copy(dst, ramp(len(dst), first))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x, y := d.Activation(format[what], n, cols), d.Alloc(compute.F32, n*rows)
	return func() float64 {
		if what == "back" || what == "int8back" {
			d.LinearBackward(x.X, y, compute.Activation{}, w, nil, compute.AdapterGrad{}, nil, n, compute.Random{})
		} else {
			d.Linear(y, nil, x, w, nil, nil, n, compute.Random{})
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		return operations
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
