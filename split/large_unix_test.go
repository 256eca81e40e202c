//go:build unix

package split

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// BOREA_SPLIT_RECORDS=10000000 go test -run Large -v ./split
//
// The records take no memory of their own, so what the process has used at its peak is
// what the split needs.
func TestLargeSplitFitsInMemory(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("BOREA_SPLIT_RECORDS"))
	if err != nil || n < 1 {
		t.Skip("BOREA_SPLIT_RECORDS is not set to a number of records")
	}
	items := make([]int32, n)
	for i := range items {
		items[i] = int32(i)
	}
	start := time.Now()
	// Groups of one to nine records, and classes of very different sizes.
	r, err := Stratified(items, Keys[int32]{
		ID: func(i int32) string { return "record " + strconv.Itoa(int(i)) },
		Class: func(i int32) string {
			return [...]string{"ALLOW", "ALLOW", "ALLOW", "DENY", "ESCALATION", "REFUSE"}[mix(uint64(i))%6]
		},
		Groups: func(i int32) []string { return []string{strconv.Itoa(int(i / (1 + int32(mix(uint64(i/9)))&7)))} },
	}, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	peak := u.Maxrss // bytes on macOS, KiB elsewhere
	if runtime.GOOS != "darwin" {
		peak <<= 10
	}
	t.Logf("%d records in %d units, %v, peak %d MiB, %.0f bytes a record; disjoint %t", n, r.Report.Units, time.Since(start).Round(time.Second), peak>>20, float64(peak)/float64(n), r.Report.Proof.Disjoint)
	if !r.Report.Proof.Disjoint {
		t.Errorf("%+v", r.Report.Proof)
	}
	if peak > 1<<30 {
		t.Errorf("peak of %d bytes, want at most 1 GiB", peak)
	}
}
