package stage

import (
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
