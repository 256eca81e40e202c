package cuda

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute/cuda/image"
)

// TestImagesAreOfTheseSources fails when a kernel was changed and not compiled:
// run go generate.
func TestImagesAreOfTheseSources(t *testing.T) {
	sources, err := filepath.Glob("*.cu")
	if err != nil || len(sources) == 0 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	for _, s := range sources {
		want, err := image.Hash(os.DirFS("."), s)
		if err != nil {
			t.Fatal(err)
		}
		img, err := os.ReadFile(strings.TrimSuffix(s, ".cu") + ".image")
		if err != nil {
			t.Fatal(err)
		}
		if have, _, err := image.Open(img); err != nil || have != want {
			t.Errorf("%s: the image is of sources %.12s, these are %.12s (%v)", s, have, want, err)
		}
	}
}

func TestOptions(t *testing.T) {
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.Ordinal = -1 }, func(o *Options) { o.Real = "f64" }, func(o *Options) { o.Path = "" },
		func(o *Options) { o.InputGrad = "fp8" }, func(o *Options) { o.Memory = -1 }, func(o *Options) { o.LossRows = 0 },
	} {
		o := DefaultOptions()
		if change(&o); o.Validate() == nil {
			t.Errorf("%+v: valid", o)
		}
	}
}

func ExampleOptions_Validate() {
	o := DefaultOptions()
	o.Real = "f16"
	fmt.Println(o.Validate())
	// Output: cuda: option real = "f16", want one of ["bf16" "f32"]: compute: not supported by this device
}
