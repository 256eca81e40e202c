package gguf

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A fused multiply-add in a search changes which scale wins, so the bytes would
// differ between machines. The compiler's own listing tells.
func TestNoFusedMultiplyAdd(t *testing.T) {
	if os.Getenv("BOREA_CROSS") == "" {
		t.Skip("builds for other processors: set BOREA_CROSS=1")
	}
	fused := regexp.MustCompile(`(?m)^.*\t(VFN?M(ADD|SUB)\S*|FN?M(ADD|SUB)[SD]?)\t.*$`)
	for _, env := range []string{"GOARCH=arm64", "GOARCH=s390x", "GOARCH=ppc64le", "GOARCH=riscv64", "GOAMD64=v3"} {
		cmd := exec.Command("go", "build", "-gcflags=-S", ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", env)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%.2000s", env, err, out)
		}
		for _, line := range fused.FindAllString(string(out), 3) {
			t.Errorf("%s: %s", env, line)
		}
		if len(out) < 100000 {
			t.Errorf("%s: a listing of %d bytes only", env, len(out))
		}
	}
}

// Nor may the assembly fuse.
func TestNoFusedMultiplyAddInAssembly(t *testing.T) {
	fused := regexp.MustCompile(`VFN?M(ADD|SUB)`)
	files, err := filepath.Glob("*_amd64.[sh]")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files of assembly, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := fused.Find(text); found != nil {
			t.Errorf("%s: %s", name, found)
		}
	}
}
