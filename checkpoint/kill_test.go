package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestMain lets the test binary be the program that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BOREA_TEST_SAVE_FOR_EVER"); dir != "" {
		fmt.Println(saveForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var killScript = script{keep: 3, size: 100_000}

// saveForEver goes on from the newest checkpoint and prints each step once its
// save is acknowledged.
func saveForEver(dir string) error {
	s, err := Open(dir, killScript.options(), Env{})
	if err != nil {
		return err
	}
	snap, err := s.Latest(bg)
	step := int64(0)
	switch {
	case err == nil:
		step = snap.Step()
		if err := killScript.wrongContent(snap); err != nil {
			return err
		}
	case !errors.Is(err, ErrNone):
		return err
	}
	if r := s.Refused(); len(r) > 0 {
		return errors.Join(r...)
	}
	fmt.Println(step)
	for {
		if step++; step%2 == 0 {
			err = s.Save(bg, killScript.state(step))
		} else {
			err = errors.Join(s.SaveAsync(bg, killScript.state(step)), s.Wait())
		}
		if err != nil {
			return err
		}
		fmt.Println(step)
	}
}

// TestKill kills a saving process at random moments, BOREA_KILLS times. It shows
// nothing about power cuts, but that locks, sweeping and resuming work.
func TestKill(t *testing.T) {
	dir, seen := tempDir(t), int64(0)
	r := rand.New(rand.NewPCG(1, 2))
	for n := range times(t, "BOREA_KILLS", 24) {
		last, err := killOnce(dir, time.Duration(r.IntN(50_000))*time.Microsecond)
		if err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		if last < seen {
			t.Fatalf("kill %d: step %d after %d was acknowledged", n, last, seen)
		}
		seen = last
	}
	s := mustOpen(t, dir, killScript.options())
	snap, err := s.Latest(bg)
	if err != nil || snap.Step() < seen || killScript.wrongContent(snap) != nil {
		t.Fatalf("latest %v after %d", err, seen)
	}
	t.Logf("%d steps", seen)
}

// killOnce starts the program, kills it after a while of saving and returns the
// last step it acknowledged.
func killOnce(dir string, after time.Duration) (last int64, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BOREA_TEST_SAVE_FOR_EVER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return 0, errors.Join(io.ErrUnexpectedEOF, cmd.Wait())
	}
	first := lines.Text()
	if last, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, errors.Join(errors.New(first), cmd.Wait())
	}
	time.AfterFunc(after, func() { cmd.Process.Kill() })
	for lines.Scan() {
		step, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			return 0, errors.Join(errors.New(lines.Text()), cmd.Wait())
		}
		last = step
	}
	cmd.Wait()
	return last, nil
}
