package cpu

import (
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/optest"
)

func opener(t testing.TB, o Options) optest.Open {
	return func() compute.Device {
		d, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func TestOperations(t *testing.T) {
	for _, path := range Paths() {
		t.Run(path, func(t *testing.T) { optest.Run(t, opener(t, Options{Workers: 3, Path: path})) })
	}
}

func TestWorkersDoNotChangeBits(t *testing.T) {
	for _, path := range Paths() {
		t.Run(path, func(t *testing.T) {
			optest.Same(t, opener(t, Options{Workers: 1, Path: path}), opener(t, Options{Workers: 5, Path: path}))
		})
	}
}
