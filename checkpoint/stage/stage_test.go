package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/borea-go/borea/checkpoint"
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

// runIn runs a stage that writes its options to "out" and counts.
func runIn(t *testing.T, spec Spec, env Env, runs *int) (Result, error) {
	t.Helper()
	return Run(context.Background(), spec, env, func(_ context.Context, w *Work) error {
		*runs++
		writeFile(t, filepath.Join(w.Dir, "out"), fmt.Sprint(spec.Options))
		return nil
	})
}

func TestReasonsAreNamed(t *testing.T) {
	dir, in := tempDir(t), tempDir(t)
	file, folder := filepath.Join(in, "f"), filepath.Join(in, "d")
	writeFile(t, file, "1")
	writeFile(t, filepath.Join(folder, "sub", "x"), "1")
	spec := Spec{Name: "s", Dir: dir, Inputs: []string{file, folder}, Options: 1, Version: "1"}
	runs := 0
	for _, step := range []struct {
		what   string
		change func()
		reason string
		skip   bool
	}{
		{"first", func() {}, "no output yet", false},
		{"again", func() {}, "same inputs", true},
		{"version", func() { spec.Version = "2" }, `version "2", was "1"`, false},
		{"options", func() { spec.Options = 2 }, "options changed", false},
		{"file", func() { writeFile(t, file, "2") }, "input " + file + " changed", false},
		{"folder", func() { writeFile(t, filepath.Join(folder, "sub", "x"), "2") }, "input " + folder + " changed", false},
		{"new file", func() { writeFile(t, filepath.Join(folder, "y"), "") }, "input " + folder + " changed", false},
		{"earlier stage's record", func() { writeFile(t, filepath.Join(folder, recordName), "{}") }, "same inputs", true},
		{"fewer inputs", func() { spec.Inputs = spec.Inputs[:1] }, "1 inputs, were 2", false},
		{"moved input", func() {
			moved := filepath.Join(in, "g")
			os.Rename(file, moved)
			spec.Inputs = []string{moved}
		}, "same inputs", true},
		{"scratch in the output", func() { writeFile(t, filepath.Join(dir, "s", ".DS_Store"), "") }, "same inputs", true},
		{"stray file", func() { writeFile(t, filepath.Join(dir, "s", "stray"), "") }, "files that are not its own", false},
		{"torn record", func() { os.Truncate(filepath.Join(dir, "s", recordName), 50) }, "record is damaged", false},
		{"altered record", func() { replace(t, filepath.Join(dir, "s", recordName), `"size": 1`, `"size": 2`) }, "record is damaged", false},
		{"lost output", func() { os.Remove(filepath.Join(dir, "s", "out")) }, "output file out is missing", false},
		{"in the end", func() {}, "same inputs", true},
	} {
		step.change()
		before := runs
		res, err := runIn(t, spec, Env{}, &runs)
		if err != nil || !strings.Contains(res.Reason, step.reason) || res.Skipped != step.skip || (runs == before) != step.skip {
			t.Errorf("%s: %+v, %v", step.what, res, err)
		}
	}
}

func replace(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), from) {
		t.Fatalf("%s: no %s in %s, %v", path, from, b, err)
	}
	writeFile(t, path, strings.Replace(string(b), from, to, 1))
}

func TestFreshStartsOver(t *testing.T) {
	spec, runs := Spec{Name: "s", Dir: tempDir(t), Options: 1}, 0
	for range 2 {
		if res, err := runIn(t, spec, Env{Fresh: true}, &runs); err != nil || res.Skipped || res.Resumed {
			t.Error(res, err)
		}
	}
	boom := errors.New("boom")
	fail := func(_ context.Context, w *Work) error { writeFile(t, filepath.Join(w.Dir, "half"), ""); return boom }
	if _, err := Run(context.Background(), spec, Env{Fresh: true}, fail); !errors.Is(err, boom) {
		t.Error(err)
	}
	if res, err := runIn(t, spec, Env{Fresh: true}, &runs); err != nil || res.Resumed || runs != 3 {
		t.Error(res, err, runs)
	}
	if _, err := os.Stat(filepath.Join(spec.Dir, "s", "half")); err == nil {
		t.Error("what a failed run left was published")
	}
}

func TestOneRunnerAtATime(t *testing.T) {
	spec, runs := Spec{Name: "s", Dir: tempDir(t)}, 0
	_, err := Run(context.Background(), spec, Env{}, func(context.Context, *Work) error {
		if _, err := runIn(t, spec, Env{}, &runs); !errors.Is(err, checkpoint.ErrLocked) {
			t.Errorf("second runner: %v", err)
		}
		other := spec
		other.Name = "other"
		_, err := runIn(t, other, Env{}, &runs)
		return err
	})
	if err != nil || runs != 1 {
		t.Error(err, runs)
	}
}

func TestContextEndsAStage(t *testing.T) {
	spec, reason := Spec{Name: "s", Dir: tempDir(t)}, errors.New("reason")
	ctx, cancel := context.WithCancelCause(context.Background())
	_, err := Run(ctx, spec, Env{}, func(context.Context, *Work) error { cancel(reason); return nil })
	var typed *Error
	if !errors.Is(err, reason) || !errors.As(err, &typed) || typed.Stage != "s" {
		t.Error(err)
	}
	runs := 0
	if res, err := runIn(t, spec, Env{}, &runs); err != nil || !res.Resumed {
		t.Errorf("next run: %+v %v", res, err)
	}
	spec.Inputs = []string{spec.Dir}
	if _, err := Run(ctx, spec, Env{}, nil); !errors.Is(err, reason) {
		t.Errorf("hashing went on: %v", err)
	}
}

func TestBadSpecs(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, ".a", "a b"} {
		if _, err := Run(context.Background(), Spec{Name: name, Dir: tempDir(t)}, Env{}, nil); !errors.Is(err, ErrName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := Run(context.Background(), Spec{Name: "s", Dir: tempDir(t), Options: func() {}}, Env{}, nil); err == nil {
		t.Error("options that are no JSON")
	}
	file := filepath.Join(tempDir(t), "file")
	writeFile(t, file, "")
	var typed *Error
	if _, err := Run(context.Background(), Spec{Name: "s", Dir: file}, Env{}, nil); !errors.As(err, &typed) {
		t.Errorf("a file for a folder: %v", err)
	}
}

func TestLinksAreNoOutput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	in := filepath.Join(tempDir(t), "in")
	writeFile(t, in, "x")
	link := filepath.Join(tempDir(t), "link")
	if err := os.Symlink(in, link); err != nil {
		t.Fatal(err)
	}
	runs := 0
	spec := Spec{Name: "s", Dir: tempDir(t), Inputs: []string{link}}
	if _, err := runIn(t, spec, Env{}, &runs); err != nil {
		t.Errorf("a link as an input: %v", err)
	}
	spec.Inputs = []string{filepath.Dir(link)}
	if _, err := runIn(t, spec, Env{}, &runs); !errors.Is(err, ErrKind) {
		t.Errorf("a link in an input: %v", err)
	}
	spec.Inputs = nil
	_, err := Run(context.Background(), spec, Env{}, func(_ context.Context, w *Work) error {
		return os.Symlink(in, filepath.Join(w.Dir, "l"))
	})
	if !errors.Is(err, ErrKind) {
		t.Errorf("a link in the output: %v", err)
	}
}

// TestAnotherKeysWorkSurvivesASkip: asking for what is published must not throw
// away work under way with other options.
func TestAnotherKeysWorkSurvivesASkip(t *testing.T) {
	spec, runs := Spec{Name: "s", Dir: tempDir(t), Options: 1}, 0
	runIn(t, spec, Env{}, &runs)
	other := spec
	other.Options = 2
	Run(context.Background(), other, Env{}, func(_ context.Context, w *Work) error { return errors.New("boom") })
	if res, err := runIn(t, spec, Env{}, &runs); err != nil || !res.Skipped {
		t.Fatal(res, err)
	}
	if res, err := runIn(t, other, Env{}, &runs); err != nil || !res.Resumed {
		t.Error(res, err)
	}
}

func TestKilledWritersLeaveNothing(t *testing.T) {
	spec := Spec{Name: "s", Dir: tempDir(t)}
	_, err := Run(context.Background(), spec, Env{}, func(_ context.Context, w *Work) error {
		writeFile(t, filepath.Join(w.Dir, "sub", ".a.tmp-0123456789abcdef"), "half")
		writeFile(t, filepath.Join(w.Dir, "sub", "a.tmp-1"), "whole")
		return nil
	})
	entries, _ := os.ReadDir(filepath.Join(spec.Dir, "s", "sub"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "a.tmp-1" {
		t.Error(entries, err)
	}
}
