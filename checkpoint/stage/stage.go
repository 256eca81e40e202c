package stage

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/borea-go/borea/internal/crashfs"
)

// Spec describes a stage. Its output depends on everything here but Dir and the
// inputs' paths.
type Spec struct {
	// Name is the folder of the output: letters, digits, '_' and '-'.
	Name string
	// Dir is the folder that holds all stages; it is made if need be.
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
	// Dir is where to write. It becomes the output when the function returns nil,
	// but for names that start with a dot, which are scratch.
	Dir string
	// Resumed says that Dir holds what an interrupted run left. After a power cut
	// files that nobody synced may be torn; a checkpoint.Store in Dir knows which.
	Resumed bool
}

// Result says what Run did.
type Result struct {
	Name    string `json:"name"`
	Dir     string `json:"-"`   // the output's folder
	Key     string `json:"key"` // hash of inputs, options and version
	Skipped bool   `json:"skipped"`
	Resumed bool   `json:"resumed"`
	// Reason says why the stage ran or was skipped.
	Reason string `json:"reason"`
}

// Run makes the stage's output unless it is there already. While it runs, other
// callers of the same stage get checkpoint.ErrLocked. When work fails or ctx ends,
// the partial folder stays, and a later Run with the same inputs, options and
// version continues in it. Errors are of type *Error.
func Run(ctx context.Context, spec Spec, env Env, work func(context.Context, *Work) error) (res Result, err error) {
	if env.Logger == nil {
		env.Logger = slog.New(slog.DiscardHandler)
	}
	res = Result{Name: spec.Name, Dir: join(spec.Dir, spec.Name)}
	if !plain(spec.Name) {
		return res, &Error{spec.Name, "name", ErrName}
	}
	fsys, err := crashfs.CreateOS(spec.Dir)
	if err != nil {
		return res, &Error{spec.Name, "open", err}
	}
	defer func() { err = errors.Join(err, fsys.Close()) }()
	made, err := spec.made(ctx)
	if err != nil {
		return res, &Error{spec.Name, "inputs", err}
	}
	r := &runner{fs: fsys, spec: spec, made: made, env: env, work: work, res: &res}
	return res, r.run(ctx)
}

func plain(name string) bool {
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return name != ""
}

// runner is one call of Run on a file system whose root is Spec.Dir.
type runner struct {
	fs   crashfs.FS
	spec Spec
	made made
	env  Env
	work func(context.Context, *Work) error
	res  *Result
}

func (r *runner) out() string     { return r.spec.Name }
func (r *runner) partial() string { return ".partial-" + r.spec.Name }
func (r *runner) old() string     { return ".old-" + r.spec.Name }

// keyName marks a partial folder with the key it belongs to.
const keyName = ".key"

func (r *runner) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{r.spec.Name, op, err}
}

func (r *runner) run(ctx context.Context) (err error) {
	r.res.Key = r.made.key()
	lock, err := r.fs.Lock(".lock-" + r.spec.Name)
	if err != nil {
		return r.fail("lock", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := r.recover(); err != nil {
		return r.fail("recover", err)
	}
	why := "asked for afresh"
	if !r.env.Fresh {
		if why, err = r.whyStale(ctx, r.out()); err != nil {
			return r.fail("check", err)
		}
	}
	if why == "" {
		r.res.Skipped, r.res.Reason = true, "same inputs, options and version"
		return r.fail("check", r.confirm())
	}
	r.res.Reason = why
	r.env.Logger.Info("stage runs", "name", r.spec.Name, "reason", why)
	return r.make(ctx)
}

// make does the work and publishes it; work that an interrupted run finished is
// only published.
func (r *runner) make(ctx context.Context) error {
	done := false
	if !r.env.Fresh {
		why, err := r.whyStale(ctx, r.partial())
		if err != nil {
			return r.fail("check", err)
		}
		done = why == ""
	}
	if done {
		r.res.Resumed = true
		r.res.Reason += "; an interrupted run had finished it"
		return r.fail("publish", r.finish())
	}
	if err := r.openPartial(); err != nil {
		return r.fail("open", err)
	}
	if err := r.work(ctx, &Work{Dir: join(r.spec.Dir, r.partial()), Resumed: r.res.Resumed}); err != nil {
		return r.fail("work", err)
	}
	if ctx.Err() != nil {
		return r.fail("work", context.Cause(ctx))
	}
	return r.fail("publish", r.publish(ctx))
}

// confirm ends a skipped stage: a killed run may not have synced the exchange, and
// a power cut may have left both names of it.
func (r *runner) confirm() error {
	if err := r.fs.Sync("."); err != nil {
		return err
	}
	if r.partialKey() != r.res.Key {
		return nil // work under way with other options
	}
	return crashfs.RemoveAll(r.fs, r.partial())
}

// partialKey returns the key of the partial folder, "" without one.
func (r *runner) partialKey() string {
	if rec, err := readRecord(r.fs, r.partial()); err == nil {
		return rec.Key
	}
	key, _ := crashfs.ReadFile(r.fs, r.partial()+"/"+keyName, 1<<10) // torn or none is no key
	return strings.TrimSpace(string(key))
}

// openPartial keeps the partial folder of an interrupted run of the same key, and
// makes a new one otherwise. A folder with a record that does not hold was damaged
// after it was finished; nobody knows what of it is good.
func (r *runner) openPartial() error {
	torn, err := crashfs.Exists(r.fs, r.partial()+"/"+recordName)
	if err == nil && !torn && r.partialKey() == r.res.Key && !r.env.Fresh {
		r.res.Resumed = true
		return nil
	}
	if err := crashfs.RemoveAll(r.fs, r.partial()); err != nil {
		return err
	}
	if err := r.fs.Mkdir(r.partial()); err != nil {
		return err
	}
	// Not synced: a torn key is another key, and costs the partial work only.
	f, err := r.fs.Create(r.partial()+"/"+keyName, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, r.res.Key+"\n")
	return errors.Join(err, f.Close())
}
