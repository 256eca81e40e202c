package checkpoint_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/borea-go/borea/checkpoint"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := checkpoint.Open(dir, checkpoint.DefaultOptions(), checkpoint.Env{})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	write := func(w io.Writer) error { _, err := io.WriteString(w, "weights"); return err }
	err = s.Save(context.Background(), checkpoint.State{Step: 7, Files: map[string]func(io.Writer) error{"w": write}})
	if err != nil {
		panic(err)
	}
	snap, err := s.Latest(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(snap.Step(), snap.Files())
	// Output: 7 [w]
}
