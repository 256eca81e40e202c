//go:build cuda && cgo && linux && amd64

package open

import (
	"errors"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

func TestOptionsInTheName(t *testing.T) {
	o, err := options("cuda:3:generic:f32")
	if err != nil || o.Ordinal != 3 || o.Path != "generic" || o.Real != "f32" {
		t.Errorf("%+v, %v", o, err)
	}
}

// A program with the tag opens the CPU where there is no driver, and says so of
// devices it cannot open.
func TestNamesWithTheTag(t *testing.T) {
	for _, name := range []string{"cuda:x", "cuda:99", "gpu"} {
		if _, err := Open(name); !errors.Is(err, compute.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
