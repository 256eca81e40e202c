//go:build unix

package safetensors

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Opening a named pipe waits for a writer; it must be refused before.
func TestNamedPipeDoesNotBlock(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, SingleFile), 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := OpenModel(os.DirFS(dir))
		done <- err
		_, err = OpenDir(dir)
		done <- err
	}()
	for range 2 {
		select {
		case err := <-done:
			if !errors.Is(err, errNotRegular) {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("blocked")
		}
	}
}
