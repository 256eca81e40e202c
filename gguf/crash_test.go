package gguf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/borea-go/borea/internal/crashfs"
)

// disk is a simulated file system on which one file, the model, may also be
// overwritten in part: until that is synced, each block of 1, 512 or 4096 bytes
// comes back old or new. A rename over the model hands it to the simulation.
type disk struct {
	*crashfs.Sim
	name    string
	durable []byte // nil once the model is a file of the simulation
	now     []byte
	after   func(string)
	dead    bool // killed: nothing works any more
}

func newDisk(t testing.TB, model []byte) *disk {
	d := &disk{Sim: crashfs.NewSim(), name: "m.gguf", durable: model, now: bytes.Clone(model)}
	// An entry of that name, so that renames replace it.
	if err := crashfs.WriteSynced(d.Sim, d.name, 0o644, func(w io.Writer) error { _, err := w.Write(model); return err }); err != nil {
		t.Fatal(err)
	}
	if err := d.Sync("."); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) Stat(name string) (crashfs.Entry, error) {
	e, err := d.Sim.Stat(name)
	if err == nil && name == d.name && d.durable != nil {
		e.Size = int64(len(d.now))
	}
	return e, err
}

func (d *disk) Open(name string) (crashfs.File, error) {
	f, err := d.Sim.Open(name)
	if err == nil && name == d.name && d.durable != nil {
		return &diskFile{File: f, d: d}, nil
	}
	return f, err
}

func (d *disk) Rename(from, to string) error {
	err := d.Sim.Rename(from, to)
	if err == nil && to == d.name {
		d.durable, d.now = nil, nil
	}
	return err
}

func (d *disk) Update(name string) (updater, error) {
	f, err := d.Sim.Open(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, d: d}, nil
}

// diskFile is the model, open.
type diskFile struct {
	crashfs.File
	d *disk
}

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.d.now).ReadAt(p, off)
}

func (f *diskFile) Size() (int64, error) { return int64(len(f.d.now)), nil }

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	if f.d.dead {
		return 0, crashfs.ErrKilled
	}
	copy(f.d.now[off:], p)
	f.d.after("overwrite")
	return len(p), nil
}

func (f *diskFile) Sync() error {
	if f.d.dead {
		return crashfs.ErrKilled
	}
	f.d.durable = bytes.Clone(f.d.now)
	f.d.after("sync of the model")
	return nil
}

// crash returns the disk after a power cut.
func (d *disk) crash(pick crashfs.Pick) *disk {
	c := &disk{Sim: d.Sim.Crash(pick, true), name: d.name, after: func(string) {}}
	if d.durable == nil { // the simulation has the model, old or new, and all is durable now
		b, err := crashfs.ReadFile(c.Sim, c.name, 1<<30)
		if err != nil {
			panic(err)
		}
		c.durable, c.now = b, bytes.Clone(b)
		return c
	}
	c.durable = bytes.Clone(d.durable)
	block := []int{1, 512, 4096}[pick(3)]
	for at := 0; at < len(c.durable); at += block {
		end := min(at+block, len(c.durable))
		if !bytes.Equal(c.durable[at:end], d.now[at:end]) && pick(2) == 1 {
			copy(c.durable[at:end], d.now[at:end])
		}
	}
	c.now = bytes.Clone(c.durable)
	return c
}

func (d *disk) model(t testing.TB) []byte {
	if d.durable != nil {
		return d.now
	}
	b, err := crashfs.ReadFile(d.Sim, d.name, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lostEdit is what is wrong with a disk after a power cut during an edit that made
// fresh of old: nothing, if recovery gives one of them; the fresh one, if the edit
// was acknowledged.
func lostEdit(t testing.TB, d *disk, old, fresh []byte, acknowledged bool) error {
	lock, err := lockFile(d, d.name)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := recoverEdit(d, d.name); err != nil {
		return err
	}
	switch b := d.model(t); {
	case bytes.Equal(b, fresh):
	case bytes.Equal(b, old) && !acknowledged:
	default:
		return fmt.Errorf("the file is neither the old one nor the new one; acknowledged %v", acknowledged)
	}
	if ok, err := crashfs.Exists(d, journalName(d.name)); ok || err != nil {
		return fmt.Errorf("the journal is still there: %v", err)
	}
	return nil
}

// powerCuts edits, cuts the power after every operation, images times each, and
// cuts it again while recovering.
func powerCuts(t testing.TB, name string, images int, seed uint64) (states int) {
	t.Helper()
	old := mixed(t, WriterOptions{Alignment: 32, MemoryBytes: 1 << 20, Workers: 1, ReserveBytes: 3000})
	opts := DefaultEditOptions()
	e, err := planEdit(open(t, old), edits[name], opts)
	if err != nil {
		t.Fatal(err)
	}
	fresh := edited(t, old, e)
	r := rand.New(rand.NewPCG(seed, 5))
	d := newDisk(t, old)
	acknowledged := false
	check := func(op string) {
		for n := range images {
			pick := crashfs.Random(r)
			if n < 2 {
				pick = []crashfs.Pick{crashfs.None, crashfs.All}[n]
			}
			states++
			after := d.crash(pick)
			if n%4 == 3 {
				states += cutRecovery(t, after, old, fresh, acknowledged, pick)
			}
			if err := lostEdit(t, after, old, fresh, acknowledged); err != nil {
				t.Fatalf("%s, after %s, image %d: %v", name, op, n, err)
			}
		}
	}
	d.after = check
	d.Sim.After = func(op crashfs.Op) { check(op.Kind + " " + op.Name) }
	if _, err := editFile(context.Background(), d, d.name, edits[name], opts, Env{}); err != nil {
		t.Fatal(err)
	}
	acknowledged = true
	check("the end")
	return states
}

// cutRecovery cuts the power after every operation of a recovery.
func cutRecovery(t testing.TB, d *disk, old, fresh []byte, acknowledged bool, pick crashfs.Pick) (states int) {
	again := func(op string) {
		states++
		if err := lostEdit(t, d.crash(pick), old, fresh, acknowledged); err != nil {
			t.Fatalf("recovery cut off after %s: %v", op, err)
		}
	}
	d.after = again
	d.Sim.After = func(op crashfs.Op) { again(op.Kind) }
	if _, err := recoverEdit(d, d.name); err != nil {
		t.Fatal(err)
	}
	d.after, d.Sim.After = func(string) {}, nil
	return states
}

// TestEditPowerCuts tries some thousands of states; BOREA_CRASH_STATES asks for more.
func TestEditPowerCuts(t *testing.T) {
	want := 6000
	if n := environment(t, "BOREA_CRASH_STATES"); n > 0 {
		want = n
	}
	for _, name := range []string{"longer", "all deleted", "much longer"} {
		states := 0
		for seed := uint64(1); states < want/3; seed++ {
			states += powerCuts(t, name, 40, seed)
		}
		t.Logf("%s: %d states", name, states)
	}
}

// A process killed at any operation leaves a file that the next edit can work on.
func TestEditKilled(t *testing.T) {
	old := mixed(t, WriterOptions{Alignment: 32, MemoryBytes: 1 << 20, Workers: 1, ReserveBytes: 3000})
	for _, name := range []string{"longer", "much longer"} {
		for n := 1; ; n++ {
			d := newDisk(t, old)
			at := 0
			kill := func() error {
				if at++; at >= n {
					d.dead = true
					return crashfs.ErrKilled
				}
				return nil
			}
			d.Sim.Fault = func(crashfs.Op) error { return kill() }
			d.after = func(string) { _ = kill() }
			_, err := editFile(context.Background(), d, d.name, edits[name], DefaultEditOptions(), Env{})
			if err == nil {
				if n < 8 {
					t.Errorf("%s: only %d operations", name, n)
				}
				break
			}
			if !errors.Is(err, crashfs.ErrKilled) {
				t.Fatalf("%s, killed at %d: %v", name, n, err)
			}
			next := d.crash(crashfs.All)
			if _, err := editFile(context.Background(), next, d.name, edits["scalar"], DefaultEditOptions(), Env{}); err != nil {
				t.Fatalf("%s, killed at %d, next edit: %v", name, n, err)
			}
			r := open(t, next.model(t))
			if v, err := Lookup[uint32](&r.Metadata, "k.e"); v != 5 || err != nil || r.Len() != 13 {
				t.Errorf("%s, killed at %d: %v %v", name, n, v, err)
			}
		}
	}
}

// Without the syncs an edit is lost: the simulation can tell.
func TestForgottenSyncIsSeen(t *testing.T) {
	old := mixed(t, WriterOptions{Alignment: 32, MemoryBytes: 1 << 20, Workers: 1, ReserveBytes: 3000})
	e, err := planEdit(open(t, old), edits["longer"], DefaultEditOptions())
	if err != nil {
		t.Fatal(err)
	}
	fresh, seen := edited(t, old, e), false
	d := newDisk(t, old)
	d.Sim.Fault = func(op crashfs.Op) error {
		if op.Kind == "syncdir" {
			return crashfs.ErrSkip
		}
		return nil
	}
	r := rand.New(rand.NewPCG(1, 6))
	d.after = func(string) {
		for range 200 {
			seen = seen || lostEdit(t, d.crash(crashfs.Random(r)), old, fresh, false) != nil
		}
	}
	if _, err := editFile(context.Background(), d, d.name, edits["longer"], DefaultEditOptions(), Env{}); err != nil {
		t.Fatal(err)
	}
	if !seen {
		t.Error("a journal whose name was never synced was not missed")
	}
}
