package atomicfile_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/internal/atomicfile"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "report")
	err = atomicfile.WriteFile(name, 0o644, func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err })
	b, _ := os.ReadFile(name)
	fmt.Println(string(b), err)
	// Output: whole <nil>
}
