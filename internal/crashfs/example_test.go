package crashfs_test

import (
	"fmt"
	"io"

	"github.com/borea-go/borea/internal/crashfs"
)

// A file that is synced but whose name is not may be gone after a power cut.
func Example() {
	disk := crashfs.NewSim()
	write := func(w io.Writer) error { _, err := io.WriteString(w, "hello"); return err }
	crashfs.WriteSynced(disk, "f", 0o600, write)
	fmt.Println(crashfs.Exists(disk.Crash(crashfs.None, false), "f"))
	disk.Sync(".")
	fmt.Println(crashfs.Exists(disk.Crash(crashfs.None, false), "f"))
	// Output:
	// false <nil>
	// true <nil>
}
