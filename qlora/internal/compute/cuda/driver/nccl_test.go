//go:build cuda && cgo && linux && amd64

package driver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

func TestMissingNCCLIsSaid(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(NCCLFolder, dir)
	for _, content := range []string{"", "no library"} {
		if content != "" {
			if err := os.WriteFile(filepath.Join(dir, "libnccl.so.2"), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := (&NCCL{}).load()
		if !errors.Is(err, ErrNoNCCL) || !errors.Is(err, compute.ErrUnsupported) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// TestNCCLLoads needs the library and no device.
func TestNCCLLoads(t *testing.T) {
	n := &NCCL{}
	if err := n.load(); errors.Is(err, ErrNoNCCL) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Logf("NCCL %d", n.Version)
	if n.Version < 20700 {
		t.Errorf("version %d has no ncclSend", n.Version)
	}
	if err := n.check("ncclSend", 4); err == nil || !strings.Contains(err.Error(), "invalid argument") {
		t.Errorf("code 4: %v", err)
	}
}
