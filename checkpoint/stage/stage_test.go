package stage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyStage copies its input to its output and counts its runs.
func copyStage(t *testing.T, dir, in string, opts any, runs *int) Result {
	t.Helper()
	spec := Spec{Name: "copy", Dir: dir, Inputs: []string{in}, Options: opts, Version: "1"}
	res, err := Run(context.Background(), spec, Env{}, func(_ context.Context, w *Work) error {
		*runs++
		b, err := os.ReadFile(in)
		writeFile(t, filepath.Join(w.Dir, "sub", "out"), string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestStageRunsOnlyWhenSomethingChanged(t *testing.T) {
	dir, in, runs := tempDir(t), filepath.Join(tempDir(t), "in"), 0
	writeFile(t, in, "one")
	expect := func(opts any, want int) {
		t.Helper()
		res := copyStage(t, dir, in, opts, &runs)
		if runs != want || res.Skipped != (want == runs && res.Reason == "same inputs, options and version") {
			t.Errorf("%d runs, want %d (%+v)", runs, want, res)
		}
	}
	expect(1, 1)
	expect(1, 1)
	expect(2, 2)
	writeFile(t, in, "two")
	expect(2, 3)
	expect(2, 3)
	writeFile(t, filepath.Join(dir, "copy", "sub", "out"), "tampered")
	expect(2, 4)
	os.Remove(filepath.Join(dir, "copy", recordName))
	expect(2, 5)
}

func TestInterruptedStageContinues(t *testing.T) {
	dir, boom := tempDir(t), errors.New("boom")
	spec := Spec{Name: "s", Dir: dir, Options: 1}
	_, err := Run(context.Background(), spec, Env{}, func(_ context.Context, w *Work) error {
		writeFile(t, filepath.Join(w.Dir, ".checkpoints", "1"), "x")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "s")); err == nil {
		t.Fatal("a failed stage was published")
	}
	res, err := Run(context.Background(), spec, Env{}, func(_ context.Context, w *Work) error {
		if _, err := os.Stat(filepath.Join(w.Dir, ".checkpoints", "1")); err != nil || !w.Resumed {
			t.Errorf("the partial folder was lost: %v", err)
		}
		writeFile(t, filepath.Join(w.Dir, "out"), "done")
		return nil
	})
	if err != nil || !res.Resumed {
		t.Fatal(res, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "s", ".checkpoints")); err == nil {
		t.Error("scratch was published")
	}
}

func TestOtherOptionsDropThePartialFolder(t *testing.T) {
	dir := tempDir(t)
	fail := func(_ context.Context, w *Work) error {
		writeFile(t, filepath.Join(w.Dir, "half"), "x")
		return errors.New("boom")
	}
	Run(context.Background(), Spec{Name: "s", Dir: dir, Options: 1}, Env{}, fail)
	_, err := Run(context.Background(), Spec{Name: "s", Dir: dir, Options: 2}, Env{}, func(_ context.Context, w *Work) error {
		if _, err := os.Stat(filepath.Join(w.Dir, "half")); err == nil || w.Resumed {
			t.Error("work of other options was kept")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMissingInputNamesItsPath(t *testing.T) {
	_, err := Run(context.Background(), Spec{Name: "s", Dir: tempDir(t), Inputs: []string{"/no/such/file"}}, Env{}, nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// tempDir is t.TempDir without its complaint when Wine cannot remove the folder.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
