package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/borea-go/borea/checkpoint/internal/sealed"
	"github.com/borea-go/borea/internal/crashfs"
)

// script is a run on a simulated disk: how many checkpoints to keep, and the steps
// that each start saves.
type script struct {
	keep   int
	size   int // bytes of the larger file
	starts [][]int64
}

var scripts = []script{
	{keep: 2, size: 40, starts: [][]int64{{1, 2, 3}, {4, 4, 5}}},
	{keep: 1, size: 700, starts: [][]int64{{0}, {10, 20}, {30}}},
	{keep: 3, size: 5000, starts: [][]int64{{1, 2, 3, 4, 5, 6}}},
	{keep: 10, size: 1, starts: [][]int64{{}, {5}, {6, 7}}},
}

// content is what file name holds at a step.
func content(step int64, name string, size int) []byte {
	key := fmt.Sprint(step, name, size)
	if b, ok := contents.Load(key); ok {
		return b.([]byte)
	}
	r := rand.New(rand.NewPCG(uint64(step), uint64(len(name))))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	contents.Store(key, b)
	return b
}

var contents sync.Map

func (sc script) state(step int64) State {
	st := State{Step: step, Meta: map[string]int64{"cursor": step * 7}, Files: map[string]func(io.Writer) error{}}
	for name, size := range sc.files() {
		st.Files[name] = func(w io.Writer) error { _, err := w.Write(content(step, name, size)); return err }
	}
	return st
}

func (sc script) files() map[string]int {
	return map[string]int{"weights": sc.size, "log": 5, "empty": 0}
}

func (sc script) options() Options { return Options{Keep: sc.keep} }

// outcome is what the program was told before the power went.
type outcome struct {
	acked   []int64 // steps of acknowledged saves
	session string  // id, once a save was acknowledged
	start   int64
}

// run plays a script; told sees the outcome grow. Faults may make it fail, and
// then it goes on with the next save, as a trainer would.
func (sc script) run(sim *crashfs.Sim, told *outcome) {
	for _, steps := range sc.starts {
		s, err := open(sim, "d", sc.options(), Env{})
		if err != nil {
			continue
		}
		s.buffer = 64
		s.Latest(context.Background())
		for _, step := range steps {
			if s.Save(context.Background(), sc.state(step)) == nil {
				told.acked = append(told.acked, step)
				told.session, told.start = s.session.ID, s.session.Starts
			}
		}
		s.Close()
	}
}

// problem checks a disk after a power cut against what was promised.
func (sc script) problem(disk *crashfs.Sim, told outcome) error {
	if told.session != "" {
		var was Session
		b, err := crashfs.ReadFile(disk, sessionFile(told.start), maxSession)
		if err == nil {
			err = sealed.Open(sessionKind, sessionVersion, b, &was)
		}
		if err != nil || was.ID != told.session {
			return fmt.Errorf("session record %+v: %w", was, err)
		}
	}
	s, err := open(disk, "d", sc.options(), Env{})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	if told.session != "" && (s.session.ID != told.session || s.session.Starts <= told.start) {
		return fmt.Errorf("session %+v after %+v", s.session, told)
	}
	if err := sc.latestProblem(s, told); err != nil {
		return err
	}
	l, err := s.list()
	if err != nil {
		return err
	}
	if len(l.leftover) > 0 || len(l.bad) > 0 || len(s.Refused()) > 0 {
		return fmt.Errorf("leftover %v, quarantine %v, refused %v", l.leftover, l.bad, s.Refused())
	}
	for _, i := range l.ids {
		if _, err := s.verify(context.Background(), i); err != nil {
			return fmt.Errorf("published: %w", err)
		}
	}
	if distinct := slices.Compact(slices.Clone(told.acked)); len(l.ids) < min(sc.keep, len(distinct)) {
		return fmt.Errorf("%d checkpoints left of %v", len(l.ids), told.acked)
	}
	return nil
}

func (sc script) latestProblem(s *Store, told outcome) error {
	snap, err := s.Latest(context.Background())
	if errors.Is(err, ErrNone) && len(told.acked) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("latest after %v: %w", told.acked, err)
	}
	if len(told.acked) > 0 && snap.Step() < told.acked[len(told.acked)-1] {
		return fmt.Errorf("step %d after %v was acknowledged", snap.Step(), told.acked)
	}
	return sc.wrongContent(snap)
}

func (sc script) wrongContent(snap *Snapshot) error {
	var meta map[string]int64
	if err := snap.DecodeMeta(&meta); err != nil || meta["cursor"] != snap.Step()*7 {
		return fmt.Errorf("meta %v, %v", meta, err)
	}
	for name, size := range sc.files() {
		f, err := snap.Open(name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(b, content(snap.Step(), name, size)) {
			return fmt.Errorf("step %d: %s is wrong, %v", snap.Step(), name, err)
		}
		f.Close()
	}
	return nil
}

// resumeProblem goes on after a power cut, which may cut recovery off again.
func (sc script) resumeProblem(disk *crashfs.Sim, told outcome, pick crashfs.Pick) (states int, problem error) {
	again := told
	again.acked = slices.Clone(told.acked)
	var inner error
	disk.After = func(crashfs.Op) {
		if inner == nil && pick(4) == 0 {
			states++
			inner = sc.problem(disk.Crash(pick, true), again)
		}
	}
	next := script{sc.keep, sc.size, [][]int64{{100}}}
	next.run(disk, &again)
	disk.After = nil
	if inner != nil {
		return states, fmt.Errorf("second power cut: %w", inner)
	}
	if len(again.acked) == len(told.acked) {
		return states, errors.New("no save after the power cut")
	}
	return states, sc.problem(disk, again)
}

// crashes plays a script and cuts the power after every operation, images times
// each, until something is wrong. It returns the number of states tried.
func (sc script) crashes(fault func(crashfs.Op) error, images int, seed uint64) (states int, problem error) {
	sim := crashfs.NewSim()
	sim.Fault = fault
	var told outcome
	r := rand.New(rand.NewPCG(seed, 0))
	sim.After = func(op crashfs.Op) {
		for n := 0; n < images && problem == nil; n++ {
			pick := pickFor(n, r)
			err := sc.problem(sim.Crash(pick, true), told)
			if states++; err == nil && n%16 == 3 {
				var inner int
				inner, err = sc.resumeProblem(sim.Crash(pick, true), told, pick)
				states += inner
			}
			if err != nil {
				problem = fmt.Errorf("keep %d, after operation %d (%s %s), image %d: %w", sc.keep, op.N, op.Kind, op.Name, n, err)
			}
		}
	}
	sc.run(sim, &told)
	sim.After = nil
	if problem == nil && len(told.acked) == 0 {
		problem = errors.New("no save was acknowledged")
	}
	return states, problem
}

func pickFor(n int, r *rand.Rand) crashfs.Pick {
	switch n {
	case 0:
		return crashfs.None
	case 1:
		return crashfs.All
	}
	return crashfs.Random(r)
}

// times returns a number from the environment, for long runs.
func times(t testing.TB, name string, short int) int {
	v := os.Getenv(name)
	if v == "" {
		return short
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s = %q", name, v)
	}
	return n
}

// TestPowerCuts tries at least 100,000 states; BOREA_CRASH_STATES asks for more.
func TestPowerCuts(t *testing.T) {
	want := times(t, "BOREA_CRASH_STATES", 100_000)
	for _, sc := range scripts {
		t.Run(fmt.Sprintf("keep %d", sc.keep), func(t *testing.T) {
			t.Parallel()
			begin, states := time.Now(), 0
			for seed := uint64(1); states < want/len(scripts); seed++ {
				n, err := sc.crashes(nil, 50, seed)
				if states += n; err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			t.Logf("%d states, %.0f a second", states, float64(states)/time.Since(begin).Seconds())
		})
	}
}

// TestEveryPowerCut tries every subset of what is pending at every operation of a
// short run with rotation.
func TestEveryPowerCut(t *testing.T) {
	sc := script{keep: 1, size: 3, starts: [][]int64{{1, 2}, {3, 3}}}
	sim := crashfs.NewSim()
	var told outcome
	var problem error
	states := 0
	sim.After = func(op crashfs.Op) {
		n, complete := crashfs.Exhaust(200_000, func(pick crashfs.Pick) {
			if problem == nil {
				problem = sc.problem(sim.Crash(pick, false), told)
			}
		})
		if states += n; problem == nil && !complete {
			problem = errors.New("too many states")
		}
	}
	sc.run(sim, &told)
	if problem != nil {
		t.Fatal(problem)
	}
	t.Logf("%d states, all", states)
}

// TestKillThenPowerCut kills a run at every operation, lets the next start save on
// the same machine, and cuts the power after each of its operations.
func TestKillThenPowerCut(t *testing.T) {
	for _, sc := range scripts[:2] {
		if err := sc.kills(nil, 1); err != nil {
			t.Error(err)
		}
	}
}

func (sc script) kills(skip func(crashfs.Op) error, seed uint64) error {
	for _, n := range sc.changes() {
		sim := crashfs.NewSim()
		dead := crashfs.FailAt(n, true, crashfs.ErrKilled)
		sim.Fault = func(op crashfs.Op) error {
			if err := dead(op); err != nil || skip == nil {
				return err
			}
			return skip(op)
		}
		var told outcome
		sc.run(sim, &told)
		sim.Fault = skip
		if err := sc.afterKill(sim, told, seed); err != nil {
			return fmt.Errorf("keep %d, killed at operation %d: %w", sc.keep, n, err)
		}
	}
	return nil
}

// changes returns the numbers of the operations that change the disk.
func (sc script) changes() (ops []int) {
	sim := crashfs.NewSim()
	sim.After = func(op crashfs.Op) { ops = append(ops, op.N) }
	sc.run(sim, new(outcome))
	return ops
}

func (sc script) afterKill(sim *crashfs.Sim, told outcome, seed uint64) (problem error) {
	r := rand.New(rand.NewPCG(seed, 1))
	sim.After = func(op crashfs.Op) {
		for n := 0; n < 3 && problem == nil; n++ {
			if problem = sc.problem(sim.Crash(crashfs.Random(r), true), told); problem != nil {
				problem = fmt.Errorf("then operation %d (%s %s): %w", op.N, op.Kind, op.Name, problem)
			}
		}
	}
	script{sc.keep, sc.size, [][]int64{{100}}}.run(sim, &told)
	sim.After = nil
	return problem
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
		if strings.Contains(f.Function, "/checkpoint.") && !strings.HasSuffix(file, "_test.go") {
			site = append(site, fmt.Sprintf("%s:%d", file, f.Line))
		}
		if !more {
			return op.Kind + " " + strings.Join(site, "<")
		}
	}
}

// TestEverySyncIsNeeded finds every place that syncs, leaves each out in turn and
// expects a power cut to show it.
func TestEverySyncIsNeeded(t *testing.T) {
	sites := map[string]bool{}
	record := func(op crashfs.Op) error { sites[syncSite(op)] = true; return nil }
	for _, sc := range scripts {
		sc.crashes(record, 0, 1)
	}
	scripts[0].kills(record, 1)
	delete(sites, "")
	if len(sites) < 5 {
		t.Fatalf("only %v", sites)
	}
	t.Logf("%d places", len(sites))
	for site := range sites {
		if !killed(func(op crashfs.Op) error {
			if syncSite(op) == site {
				return crashfs.ErrSkip
			}
			return nil
		}) {
			t.Errorf("nobody misses %s", site)
		}
	}
}

func killed(fault func(crashfs.Op) error) bool {
	for seed := uint64(1); seed <= 5; seed++ {
		for _, sc := range scripts {
			if _, err := sc.crashes(fault, 50, seed); err != nil {
				return true
			}
		}
		if scripts[0].kills(fault, seed) != nil {
			return true
		}
	}
	return false
}
