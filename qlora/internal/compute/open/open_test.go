package open

import (
	"errors"
	"fmt"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
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
