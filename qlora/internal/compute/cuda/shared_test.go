package cuda

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSharedMemoryIsAsDocumented finds each number of bytes that a launcher gives
// in the head comments of the sources: a kernel launched with less writes outside.
func TestSharedMemoryIsAsDocumented(t *testing.T) {
	for launcher, sources := range map[string][]string{
		"attention.go": {"flash_attention.cu", "flash_backward.cu", "flash_forward_hopper.cu", "flash_backward_hopper.cu"},
	} {
		text, err := os.ReadFile(launcher)
		if err != nil {
			t.Fatal(err)
		}
		var heads strings.Builder
		for _, s := range sources {
			src, err := os.ReadFile(s)
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(src), "\n#include")
			heads.WriteString(head)
		}
		found := 0
		for _, table := range regexp.MustCompile(`Shared = map.*`).FindAllString(string(text), -1) {
			for _, n := range regexp.MustCompile(`\b\d{5,6}\b`).FindAllString(table, -1) {
				if found++; !strings.Contains(heads.String(), n) {
					t.Errorf("%s gives %s bytes of shared memory, which no source names", launcher, n)
				}
			}
		}
		if found < 16 {
			t.Errorf("%s: only %d sizes found", launcher, found)
		}
	}
}
