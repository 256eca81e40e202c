package qlora

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// tape is a Grapher whose work is a list of words.
type tape struct {
	done  []string
	moved int // counts moves of its memory
	freed int
}

type tapeGraph struct {
	t     *tape
	work  []string
	moved int
}

func (t *tape) Capture(f func()) (compute.Graph, error) {
	before := len(t.done)
	f()
	g := &tapeGraph{t, append([]string(nil), t.done[before:]...), t.moved}
	t.done = t.done[:before]
	return g, nil
}

func (g *tapeGraph) Replay() bool {
	if g.moved != g.t.moved {
		return false
	}
	for _, w := range g.work {
		g.t.done = append(g.t.done, "replayed "+w)
	}
	return true
}

func (g *tapeGraph) Free() error { g.t.freed++; return nil }

func TestRecorder(t *testing.T) {
	dev := &tape{}
	r := &recorder{dev: dev}
	run := func(shape int, word string) {
		require.NoError(t, r.run(shape, func() { dev.done = append(dev.done, word) }))
	}
	run(1, "a")
	run(2, "b")
	run(1, "a")
	run(1, "a")
	require.Equal(t, []string{"a", "b", "replayed a", "replayed a"}, dev.done)
	require.Equal(t, 1, r.count, "only what comes again is recorded")
	dev.moved++
	run(1, "a")
	require.Equal(t, "a", dev.done[4], "a recording of memory that moved is not used")
	require.Equal(t, 1, dev.freed)
	run(1, "a")
	require.Equal(t, "replayed a", dev.done[5])
	for shape := 10; shape < 10+mostShapes; shape++ {
		run(shape, "c")
	}
	require.Len(t, r.last, mostShapes)
	require.Equal(t, 2, dev.freed, "the recording of a forgotten shape is freed")
	require.Equal(t, 2, r.count)
	run(1, "a")
	require.Equal(t, "a", dev.done[len(dev.done)-1])
	require.NoError(t, r.close())
}

func TestRecorderWithoutGraphs(t *testing.T) {
	r, n := newRecorder(nil), 0
	for range 3 {
		require.NoError(t, r.run(1, func() { n++ }))
	}
	require.Equal(t, 3, n)
	require.NoError(t, r.close())
}
