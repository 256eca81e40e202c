package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/internal/atomicfile"
)

// Spec describes a stage. Everything in it but Dir goes into the key.
type Spec struct {
	// Name is the folder of the output, a plain name.
	Name string
	// Dir is the folder that holds all stages.
	Dir string
	// Inputs are files and folders whose contents decide the output.
	Inputs []string
	// Options is anything that encodes as JSON.
	Options any
	// Version changes when the code's output would.
	Version string
}

// Env is what is not data.
type Env struct {
	Logger *slog.Logger
	// Fresh ignores what is published or partial and starts over.
	Fresh bool
}

// Work is handed to the function that does the work.
type Work struct {
	// Dir is where to write. It becomes the output when the function returns nil.
	Dir string
	// Resumed says that Dir holds what an interrupted run left.
	Resumed bool
}

// Result says what Run did.
type Result struct {
	Name    string `json:"name"`
	Dir     string `json:"-"`
	Key     string `json:"key"`
	Skipped bool   `json:"skipped"`
	Resumed bool   `json:"resumed"`
	// Reason says why the stage ran or was skipped.
	Reason string `json:"reason"`
}

// recordName is the file that makes an output valid.
const recordName = "STAGE.json"

// keyName marks a partial folder with the key it belongs to.
const keyName = ".key"

// record is STAGE.json.
type record struct {
	Name    string       `json:"name"`
	Version string       `json:"version"`
	Key     string       `json:"key"`
	Files   []fileRecord `json:"files"`
}

// Run makes the stage's output unless it is there already.
func Run(ctx context.Context, spec Spec, env Env, work func(context.Context, *Work) error) (Result, error) {
	if env.Logger == nil {
		env.Logger = slog.New(slog.DiscardHandler)
	}
	if filepath.Base(spec.Name) != spec.Name || spec.Name == "." || spec.Name == "" {
		return Result{}, fmt.Errorf("stage: name %q is not a plain name", spec.Name)
	}
	res := Result{Name: spec.Name, Dir: filepath.Join(spec.Dir, spec.Name)}
	var err error
	if res.Key, err = spec.key(ctx); err != nil {
		return res, fmt.Errorf("stage %s: %w", spec.Name, err)
	}
	res.Reason = reasonToRun(ctx, res.Dir, res.Key)
	if env.Fresh {
		res.Reason = "asked for afresh"
	}
	if res.Reason == "" {
		res.Skipped, res.Reason = true, "same inputs, options and version"
		return res, nil
	}
	env.Logger.Info("stage runs", "name", spec.Name, "reason", res.Reason)
	return res, spec.run(ctx, env, &res, work)
}

func (s Spec) run(ctx context.Context, env Env, res *Result, work func(context.Context, *Work) error) error {
	partial := filepath.Join(s.Dir, ".partial-"+s.Name)
	resumed, err := openPartial(partial, res.Key, env.Fresh)
	if err != nil {
		return fmt.Errorf("stage %s: %w", s.Name, err)
	}
	res.Resumed = resumed
	if err := work(ctx, &Work{Dir: partial, Resumed: resumed}); err != nil {
		return fmt.Errorf("stage %s: %w", s.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stage %s: %w", s.Name, err)
	}
	if err := s.publish(partial, res); err != nil {
		return fmt.Errorf("stage %s: publish: %w", s.Name, err)
	}
	return nil
}

// openPartial returns whether the folder holds earlier work of the same key.
func openPartial(dir, key string, fresh bool) (resumed bool, err error) {
	old, err := os.ReadFile(filepath.Join(dir, keyName))
	if err == nil && string(old) == key && !fresh {
		return true, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	return false, atomicfile.WriteFile(filepath.Join(dir, keyName), 0o644, func(w io.Writer) error {
		_, err := io.WriteString(w, key)
		return err
	})
}

// publish records and syncs the partial folder and renames it into place. The
// old output leaves first; a crash between the two renames costs a rerun of the
// last moments only, since the partial folder is complete.
func (s Spec) publish(partial string, res *Result) error {
	files, err := syncTree(partial)
	if err != nil {
		return err
	}
	rec, err := json.MarshalIndent(record{s.Name, s.Version, res.Key, files}, "", " ")
	if err != nil {
		return err
	}
	err = atomicfile.WriteFile(filepath.Join(partial, recordName), 0o644, func(w io.Writer) error {
		_, err := w.Write(append(rec, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(res.Dir); err != nil {
		return err
	}
	if err := os.Rename(partial, res.Dir); err != nil {
		return err
	}
	return atomicfile.SyncDir(s.Dir)
}

// reasonToRun is empty when the output is valid and current.
func reasonToRun(ctx context.Context, dir, key string) string {
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return "no output yet"
	}
	var rec record
	if err != nil || json.Unmarshal(b, &rec) != nil {
		return "the output's record is unreadable"
	}
	if rec.Key != key {
		return "inputs, options or version changed"
	}
	for _, want := range rec.Files {
		got, err := hashFile(ctx, filepath.Join(dir, filepath.FromSlash(want.Path)))
		if err != nil || got.Size != want.Size || got.SHA256 != want.SHA256 {
			return fmt.Sprintf("output file %s is missing or altered", want.Path)
		}
	}
	return ""
}
