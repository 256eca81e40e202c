package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// crew is one operation that several workers share.
type crew struct {
	f     func(w *worker, task int)
	tasks int64
	next  atomic.Int64
	left  atomic.Int64 // helpers that are not done
	done  sync.WaitGroup
}

// work runs tasks until there are none.
func (c *crew) work(w *worker) {
	for i := c.next.Add(1) - 1; i < c.tasks; i = c.next.Add(1) - 1 {
		c.f(w, int(i))
	}
}

func (c *crew) leave() {
	c.left.Add(-1)
	c.done.Done()
}

// wait returns when every helper has left: most do soon, and to be woken takes
// longer than a small product.
func (c *crew) wait() {
	for start := time.Now(); c.left.Load() > 0; runtime.Gosched() {
		if time.Since(start) > linger {
			c.done.Wait()
			return
		}
	}
}

// linger is how long a helper without work waits before its goroutine ends. The
// next operation of a model usually follows within microseconds.
const linger = 100 * time.Microsecond

// What a worker's goroutine does.
const (
	gone int32 = iota
	waiting
	busy
)

// join makes w a helper of c. Its goroutine may still wait since the last one.
func (w *worker) join(c *crew) {
	w.crew = c
	if w.state.Swap(busy) == gone {
		go w.serve()
	}
}

func (w *worker) serve() {
	for {
		c := w.crew
		c.work(w)
		w.state.Store(waiting)
		c.leave()
		if !w.called() {
			return
		}
	}
}

// called waits for the next crew; false after a while, and w is gone then.
func (w *worker) called() bool {
	for start := time.Now(); w.state.Load() == waiting; runtime.Gosched() {
		if time.Since(start) > linger && w.state.CompareAndSwap(waiting, gone) {
			return false
		}
	}
	return true
}
