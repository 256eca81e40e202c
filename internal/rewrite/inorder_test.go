package rewrite

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
)

func TestPartsComeInOrderAndFewAtATime(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		var running, most atomic.Int64
		var got []int
		err := inOrder(workers, 200, func(i int) (int, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			for range i % 7 * 1000 { // later parts end before earlier ones
				running.Load()
			}
			running.Add(-1)
			return i, nil
		}, func(i int) error { got = append(got, i); return nil })
		want := make([]int, 200)
		for i := range want {
			want[i] = i
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d workers: %v, %v", workers, got, err)
		}
		if int(most.Load()) > workers {
			t.Errorf("%d workers: %d parts at once", workers, most.Load())
		}
	}
	if err := inOrder(3, 0, func(int) (int, error) { return 0, nil }, func(int) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestFirstErrorInOrderEndsTheWork(t *testing.T) {
	bad, worse := errors.New("part 5"), errors.New("part 6")
	for name, c := range map[string]struct {
		produce func(i int) (int, error)
		use     func(i int) error
	}{
		"produce": {func(i int) (int, error) { return i, map[int]error{5: bad, 6: worse}[i] }, func(int) error { return nil }},
		"use":     {func(i int) (int, error) { return i, nil }, func(i int) error { return map[int]error{5: bad, 6: worse}[i] }},
	} {
		var running, last atomic.Int64
		err := inOrder(4, 1000, func(i int) (int, error) {
			running.Add(1)
			defer running.Add(-1)
			last.Store(int64(i))
			return c.produce(i)
		}, c.use)
		if !errors.Is(err, bad) || running.Load() != 0 || last.Load() > 100 {
			t.Errorf("%s: %v, %d running, part %d was made", name, err, running.Load(), last.Load())
		}
	}
}
