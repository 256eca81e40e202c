package stage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/checkpoint/stage"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	spec := stage.Spec{Name: "greet", Dir: dir, Options: map[string]string{"whom": "world"}, Version: "1"}
	for range 2 {
		res, err := stage.Run(context.Background(), spec, stage.Env{}, func(_ context.Context, w *stage.Work) error {
			return os.WriteFile(filepath.Join(w.Dir, "greeting"), []byte("hello, world\n"), 0o600)
		})
		fmt.Println(res.Skipped, res.Reason, err)
	}
	// Output:
	// false no output yet <nil>
	// true same inputs, options and version <nil>
}
