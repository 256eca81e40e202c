package open

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/cpu"
)

func TestUnknownNameNamesTheBuiltIn(t *testing.T) {
	_, err := Open("abacus")
	var unknown *UnknownError
	if !errors.As(err, &unknown) || !errors.Is(err, compute.ErrUnsupported) {
		t.Fatalf("got %v", err)
	}
	if unknown.Name != "abacus" || len(unknown.Built) == 0 {
		t.Errorf("got %+v", unknown)
	}
}

func TestListsOfDevices(t *testing.T) {
	for list, want := range map[string][]string{
		"cpu": {"cpu"}, "cpu,cpu": {"cpu", "cpu"}, "cuda:0,1": {"cuda:0", "cuda:1"},
		"cuda:1,cuda:0": {"cuda:1", "cuda:0"}, "cuda,1": {"cuda", "cuda:1"}, "3": {"3"}, "cpu,": {"cpu", ""},
		"cuda:generic:0,1,2": {"cuda:generic:0", "cuda:generic:1", "cuda:generic:2"}, "cuda:0:f32,1": {"cuda:0:f32", "cuda:f32:1"},
	} {
		if got := Split(list); !slices.Equal(got, want) {
			t.Errorf("%q: %q", list, got)
		}
	}
	for _, list := range []string{"", "cpu,", "cpu,1", "cpu,abacus", "cpu,cpu:abacus", "abacus,abacus", "cuda:97,98", "cuda:0,cuda:0", "cpu,cuda:0"} {
		if _, _, err := All(list); !errors.Is(err, compute.ErrUnsupported) {
			t.Errorf("%q: %v", list, err)
		}
	}
	devices, g, err := All("cpu,cpu")
	if err != nil || len(devices) != 2 || g.Ranks() != 2 {
		t.Fatalf("%v, %v", devices, err)
	}
	if err := closeAll(devices); err != nil {
		t.Error(err)
	}
	if _, g, err := All("cpu"); g != nil || err != nil {
		t.Errorf("one device needs no group: %v, %v", g, err)
	}
}

func TestPathsOfTheCPU(t *testing.T) {
	for _, path := range append(cpu.Paths(), "auto") {
		d, err := Open("cpu:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if path != "auto" && !strings.Contains(d.Name(), path) {
			t.Errorf("cpu:%s opened %s", path, d.Name())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"cpu:", "cpu:abacus", "cpux"} {
		if _, err := Open(name); !errors.Is(err, compute.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ExampleOpen() {
	dev, err := Open("cpu")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Close()
	fmt.Println(dev.Real())
	_, err = Open("gpu")
	fmt.Println(errors.Is(err, compute.ErrUnsupported))
	// Output:
	// f32
	// true
}
