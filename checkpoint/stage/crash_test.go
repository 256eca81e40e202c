package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

// story is a pipeline on a simulated disk: one stage, run with these options one
// after the other. Equal neighbours must be skipped.
var story = []int{1, 1, 2, 3, 3}

// told is what the program knew before the power went.
type told struct {
	acked    int  // options of the last Run that returned nil, 0 for none
	current  int  // options of the Run under way
	recorded bool // of current: scratch was touched, so the work is done for good
	works    int  // how often work was called
	log      *slog.Logger
}

// play runs the story from the given moment on.
func (w *told) play(sim *crashfs.Sim, options []int) {
	for _, o := range options {
		*w = told{acked: w.acked, current: o, works: w.works}
		_, err := w.runOnce(sim, o)
		if err == nil {
			w.acked = o
		}
		if errors.Is(err, crashfs.ErrKilled) {
			return
		}
	}
}

func (w *told) runOnce(sim *crashfs.Sim, options int) (Result, error) {
	spec := Spec{Name: "s", Options: options}
	m, err := spec.made(context.Background())
	if err != nil {
		return Result{}, err
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	var res Result
	r := &runner{fs: sim, spec: spec, made: m, env: Env{Logger: w.log}, res: &res}
	r.work = func(_ context.Context, work *Work) error {
		w.works++
		return writeWork(sim, work, options)
	}
	return res, r.run(context.Background())
}

// writeWork leaves everything unsynced, as other people's code does, and half of
// it to the next try if there is scratch to go on from.
func writeWork(sim *crashfs.Sim, work *Work, options int) error {
	var err error
	put := func(name, text string) {
		full := work.Dir + "/" + name
		if rerr := crashfs.RemoveAll(sim, full); rerr != nil {
			err = errors.Join(err, rerr)
			return
		}
		f, cerr := sim.Create(full, 0o600)
		if cerr != nil {
			err = errors.Join(err, cerr)
			return
		}
		_, werr := io.WriteString(f, text)
		err = errors.Join(err, werr, f.Close())
	}
	mkdir := func(name string) {
		if merr := sim.Mkdir(work.Dir + "/" + name); merr != nil && !errors.Is(merr, os.ErrExist) {
			err = errors.Join(err, merr)
		}
	}
	mkdir(".checkpoints")
	put(".checkpoints/1", "state")
	put(".f.tmp-0123456789abcdef", "half")
	mkdir("sub")
	for _, name := range outputs {
		put(name, outputText(name, options))
	}
	return err
}

var outputs = []string{"a", "sub/b"}

func outputText(name string, options int) string {
	return strings.Repeat(fmt.Sprintf("%s of %d\n", name, options), 3)
}

// published returns the options of the output in place, 0 for none; anything that
// is not one whole output is an error.
func published(disk *crashfs.Sim) (int, error) {
	rec, err := readRecord(disk, "s")
	if missing(err) {
		if there, _ := crashfs.Exists(disk, "s"); there {
			return 0, errors.New("output without a record")
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	have, err := hashTree(context.Background(), disk, "s", notOutput)
	if err != nil || !slices.Equal(have, rec.Files) {
		return 0, fmt.Errorf("record of %v, output %v, %w", rec.Files, have, err)
	}
	for o := 1; o <= 3; o++ {
		if d, _ := digest(o); d == rec.Options {
			return o, wrongOutput(disk, o)
		}
	}
	return 0, errors.New("record of unknown options")
}

func wrongOutput(disk *crashfs.Sim, options int) error {
	entries, err := disk.ReadDir("s")
	if err != nil || len(entries) != 3 {
		return fmt.Errorf("output holds %v, %v", entries, err)
	}
	for _, name := range outputs {
		b, err := crashfs.ReadFile(disk, "s/"+name, 1<<10)
		if err != nil || string(b) != outputText(name, options) {
			return fmt.Errorf("%s of %d is %q, %v", name, options, b, err)
		}
	}
	return nil
}

// problem checks a disk after a power cut.
func (w told) problem(disk *crashfs.Sim) error {
	again := told{acked: w.acked, current: w.current}
	if err := w.outputProblem(disk.Crash(crashfs.All, false)); err != nil {
		return err
	}
	res, err := again.runOnce(disk, w.current)
	if err != nil {
		return fmt.Errorf("next run: %w", err)
	}
	switch o, err := published(disk); {
	case err != nil:
		return fmt.Errorf("after the next run: %w", err)
	case o != w.current:
		return fmt.Errorf("the next run published %d, not %d", o, w.current)
	case w.acked == w.current && !res.Skipped:
		return fmt.Errorf("published %d was made again: %s", w.acked, res.Reason)
	case w.recorded && again.works > 0:
		return fmt.Errorf("finished work of %d was done again: %s", w.current, res.Reason)
	}
	return leftoverProblem(disk)
}

// outputProblem looks at what a reader finds once an exchange is completed: the
// output before or the new one, never half of one, never none.
func (w told) outputProblem(disk *crashfs.Sim) error {
	if err := (&runner{fs: disk, spec: Spec{Name: "s"}}).recover(); err != nil {
		return err
	}
	o, err := published(disk)
	if err == nil && (o < w.acked || o > w.current) {
		err = fmt.Errorf("found output %d", o)
	}
	return err
}

func leftoverProblem(disk *crashfs.Sim) error {
	for _, name := range []string{".partial-s", ".old-s"} {
		if there, err := crashfs.Exists(disk, name); there || err != nil {
			return fmt.Errorf("%s was left (%v)", name, err)
		}
	}
	return nil
}

// crashes plays the story and cuts the power after every operation.
func crashes(sim *crashfs.Sim, images int, seed uint64) (states int, problem error) {
	var w told
	r := rand.New(rand.NewPCG(seed, 0))
	sim.After = func(op crashfs.Op) {
		if op.Kind == "remove" && strings.HasSuffix(op.Name, keyName) && op.Name == ".partial-s/"+keyName {
			w.recorded = true
		}
		for n := 0; n < images && problem == nil; n++ {
			pick := crashfs.Random(r)
			if n < 2 {
				pick = []crashfs.Pick{crashfs.None, crashfs.All}[n]
			}
			states++
			if err := w.problem(sim.Crash(pick, true)); err != nil {
				problem = fmt.Errorf("options %d (done %d), operation %d (%s %s), image %d: %w", w.current, w.acked, op.N, op.Kind, op.Name, n, err)
			}
		}
	}
	w.play(sim, story)
	sim.After = nil
	if problem == nil && (w.works != 3 || w.acked != 3) {
		problem = fmt.Errorf("the story ended with %+v", w)
	}
	return states, problem
}

// TestPowerCuts tries 20,000 states; BOREA_CRASH_STATES asks for more.
func TestPowerCuts(t *testing.T) {
	want := 20_000
	if n, err := strconv.Atoi(os.Getenv("BOREA_CRASH_STATES")); err == nil {
		want = n
	}
	states := 0
	for seed := uint64(1); states < want; seed++ {
		n, err := crashes(crashfs.NewSim(), 50, seed)
		if states += n; err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Logf("%d states", states)
}

// TestKillThenPowerCut kills the program at every operation, lets the next one
// finish on the same machine, and cuts the power after each of its operations.
func TestKillThenPowerCut(t *testing.T) {
	if err := kills(nil, 1); err != nil {
		t.Fatal(err)
	}
}

func kills(skip func(crashfs.Op) error, seed uint64) error {
	for n := 1; ; n++ {
		sim := crashfs.NewSim()
		dead := crashfs.FailAt(n, true, crashfs.ErrKilled)
		sim.Fault = func(op crashfs.Op) error {
			if err := dead(op); err != nil || skip == nil {
				return err
			}
			return skip(op)
		}
		var w told
		w.play(sim, story[:3])
		if sim.Ops() < n {
			return nil
		}
		sim.Fault = skip
		if err := w.killed(sim, seed); err != nil {
			return fmt.Errorf("killed at operation %d: %w", n, err)
		}
	}
}

// killed is the next program on the machine where one was killed.
func (w told) killed(sim *crashfs.Sim, seed uint64) (problem error) {
	r := rand.New(rand.NewPCG(seed, 1))
	w = told{acked: w.acked, current: w.current}
	sim.After = func(op crashfs.Op) {
		for n := 0; n < 4 && problem == nil; n++ {
			if problem = w.problem(sim.Crash(crashfs.Random(r), true)); problem != nil {
				problem = fmt.Errorf("then operation %d (%s %s): %w", op.N, op.Kind, op.Name, problem)
			}
		}
	}
	if _, err := w.runOnce(sim, w.current); err != nil {
		return err
	}
	w.acked = w.current
	sim.After = nil
	if problem != nil {
		return problem
	}
	return w.problem(sim.Crash(crashfs.None, true))
}

// syncSite names the places in this package that led to a sync, or "".
func syncSite(op crashfs.Op) string {
	if op.Kind != "sync" && op.Kind != "syncdir" {
		return ""
	}
	pcs := make([]uintptr, 24)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	var site []string
	for {
		f, more := frames.Next()
		file := filepath.Base(f.File)
		if strings.Contains(f.Function, "/stage.") && !strings.HasSuffix(file, "_test.go") {
			site = append(site, fmt.Sprintf("%s:%d", file, f.Line))
		}
		if !more {
			return op.Kind + " " + path3(op.Name) + " " + strings.Join(site, "<")
		}
	}
}

// path3 keeps apart what one loop syncs.
func path3(name string) string {
	if strings.HasPrefix(name, ".partial") {
		return filepath.Base(name)
	}
	return name
}

// TestEverySyncIsNeeded leaves out every sync in turn and expects a power cut, or
// a kill and a power cut, to show it.
func TestEverySyncIsNeeded(t *testing.T) {
	sites := map[string]bool{}
	sim := crashfs.NewSim()
	sim.Fault = func(op crashfs.Op) error { sites[syncSite(op)] = true; return nil }
	new(told).play(sim, story)
	delete(sites, "")
	if len(sites) < 6 {
		t.Fatalf("only %v", sites)
	}
	t.Logf("%d places", len(sites))
	for site := range sites {
		if !missed(site) {
			t.Errorf("nobody misses %s", site)
		}
	}
}

func missed(site string) bool {
	for seed := uint64(1); seed <= 6; seed++ {
		skip := func(op crashfs.Op) error {
			if syncSite(op) == site {
				return crashfs.ErrSkip
			}
			return nil
		}
		sim := crashfs.NewSim()
		sim.Fault = skip
		if _, err := crashes(sim, 60, seed); err != nil || kills(skip, seed) != nil {
			return true
		}
	}
	return false
}

// TestFaultsAtEveryOperation fails every operation in turn; the output before must
// stay, and the next run must succeed.
func TestFaultsAtEveryOperation(t *testing.T) {
	for name, fault := range map[string]error{
		"full": syscall.ENOSPC, "short": &crashfs.Short{Part: 0.5, Err: syscall.ENOSPC}, "EIO": syscall.EIO, "done": &crashfs.Done{Err: syscall.EIO},
	} {
		for _, forever := range []bool{false, true} {
			for n := 1; ; n++ {
				sim := crashfs.NewSim()
				sim.Fault = crashfs.FailAt(n, forever, fault)
				var w told
				w.play(sim, story)
				reached := sim.Ops() >= n
				sim.Fault = nil
				if _, err := (&told{}).runOnce(sim, 3); err != nil {
					t.Fatalf("%s at %d: next run: %v", name, n, err)
				}
				if o, err := published(sim.Crash(crashfs.None, true)); o != 3 || err != nil {
					t.Fatalf("%s at %d, forever %v: published %d, %v", name, n, forever, o, err)
				}
				if !reached {
					break
				}
			}
		}
	}
}

// TestSuccessIsDurable fails every operation of one run, once: if the run says all
// went well, a power cut right then must not matter; whatever it says, the output
// before or the new one is there.
func TestSuccessIsDurable(t *testing.T) {
	for n := 1; ; n++ {
		sim := crashfs.NewSim()
		var w told
		w.play(sim, []int{1})
		start := sim.Ops()
		sim.Fault = crashfs.FailAt(start+n, false, syscall.EIO)
		_, err := w.runOnce(sim, 2)
		reached := sim.Ops() >= start+n
		sim.Fault = nil
		w.current = 2
		if err == nil {
			w.acked = 2
		}
		r := rand.New(rand.NewPCG(uint64(n), 1))
		for image := range 40 {
			pick := crashfs.Random(r)
			if image == 0 {
				pick = crashfs.None
			}
			if perr := w.outputProblem(sim.Crash(pick, true)); perr != nil {
				t.Errorf("operation %d, run said %v: %v", n, err, perr)
				break
			}
		}
		if !reached {
			return
		}
	}
}

// inExchange returns a disk on which a power cut met the exchange of outputs: with
// both true both names are there, else only the old one is.
func inExchange(t *testing.T, both bool) *crashfs.Sim {
	t.Helper()
	sim := crashfs.NewSim()
	var w told
	w.play(sim, []int{1})
	err := sim.Rename("s", ".old-s")
	if both {
		w.play(sim, []int{2})
		w.play(sim, []int{2})
		err = errors.Join(err, sim.Mkdir(".old-s"), put(sim, ".old-s/a", "x"), sim.Sync("."), sim.Sync(".old-s"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return sim
}

func put(sim *crashfs.Sim, name, text string) error {
	return crashfs.WriteSynced(sim, name, 0o600, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
}

// TestRecoveryDoesNotGuess: what cannot be recovered for an error of the disk is
// not done again, and nothing is deleted on a folder that cannot be synced.
func TestRecoveryDoesNotGuess(t *testing.T) {
	for _, c := range []struct {
		kind string
		both bool
	}{{"rename", false}, {"stat", false}, {"syncdir", true}, {"read", true}, {"readdir", true}} {
		sim, w := inExchange(t, c.both), told{}
		sim.Fault = func(op crashfs.Op) error {
			if op.Kind == c.kind {
				return syscall.EIO
			}
			return nil
		}
		if _, err := w.runOnce(sim, 2); !errors.Is(err, syscall.EIO) || w.works > 0 {
			t.Errorf("%s: %v, work called %d times", c.kind, err, w.works)
		}
		sim.Fault = nil
		if b, err := crashfs.ReadFile(sim, ".old-s/a", 100); c.kind == "syncdir" && (err != nil || string(b) != "x") {
			t.Errorf("%s: deleted on an unsynced folder: %v", c.kind, err)
		}
	}
}

// TestFailedPreparationStartsNoWork fails what comes before the work and what
// confirms a skip.
func TestFailedPreparationStartsNoWork(t *testing.T) {
	for _, c := range []struct {
		kind    string
		options int
		partial bool // of options 3
	}{{"mkdir", 2, false}, {"create", 2, false}, {"remove", 2, true}, {"syncdir", 1, false}, {"readdir", 1, false}, {"read", 1, false}} {
		sim := crashfs.NewSim()
		var w told
		w.play(sim, []int{1})
		if c.partial {
			if err := errors.Join(sim.Mkdir(".partial-s"), put(sim, ".partial-s/"+keyName, "3")); err != nil {
				t.Fatal(err)
			}
		}
		sim.Fault = func(op crashfs.Op) error {
			if op.Kind == c.kind {
				return syscall.EIO
			}
			return nil
		}
		w.works = 0
		if _, err := w.runOnce(sim, c.options); !errors.Is(err, syscall.EIO) || w.works > 0 {
			t.Errorf("%s: %v, work called %d times", c.kind, err, w.works)
		}
	}
}

// finishedAt returns a disk with a finished partial folder, or none, and a fault on
// one kind of operation on names with a prefix.
func finishedAt(t *testing.T, partial bool, kind, prefix string) *crashfs.Sim {
	t.Helper()
	sim := crashfs.NewSim()
	new(told).play(sim, []int{1})
	if partial {
		if err := sim.Rename("s", ".partial-s"); err != nil {
			t.Fatal(err)
		}
	}
	sim.Fault = func(op crashfs.Op) error {
		if op.Kind == kind && strings.HasPrefix(op.Name, prefix) {
			return syscall.EIO
		}
		return nil
	}
	return sim
}

func TestUnreadableFinishedWorkIsNotDoneAgain(t *testing.T) {
	sim, w := finishedAt(t, true, "read", ".partial-s/"), told{}
	if _, err := w.runOnce(sim, 1); !errors.Is(err, syscall.EIO) || w.works > 0 {
		t.Errorf("%v, work called %d times", err, w.works)
	}
}

// TestScratchStaysUntilTheRecordIsDurable: were it removed before, a power cut
// could take the work and what to continue it from.
func TestScratchStaysUntilTheRecordIsDurable(t *testing.T) {
	for _, name := range []string{".partial-s", "."} {
		sim, w := finishedAt(t, false, "syncdir", name), told{}
		inner := sim.Fault
		sim.Fault = func(op crashfs.Op) error {
			if op.Name != name {
				return nil
			}
			return inner(op)
		}
		if _, err := w.runOnce(sim, 2); !errors.Is(err, syscall.EIO) || w.works != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if there, err := crashfs.Exists(sim, ".partial-s/.checkpoints/1"); !there || err != nil {
			t.Errorf("%s: scratch is gone, %v", name, err)
		}
	}
}

func TestEarlierOutputThatStaysIsLogged(t *testing.T) {
	sim, w := finishedAt(t, false, "remove", ".old-s"), told{}
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := w.runOnce(sim, 2); err != nil || !strings.Contains(log.String(), "earlier output not removed") {
		t.Errorf("%v, log %q", err, log.String())
	}
}

func TestAnotherStagesOutputIsNotTaken(t *testing.T) {
	dir, runs := tempDir(t), 0
	if _, err := runIn(t, Spec{Name: "a", Dir: dir}, Env{}, &runs); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if res, err := runIn(t, Spec{Name: "b", Dir: dir}, Env{}, &runs); err != nil || res.Skipped || res.Reason != `output of stage "a"` {
		t.Errorf("%+v, %v", res, err)
	}
}
