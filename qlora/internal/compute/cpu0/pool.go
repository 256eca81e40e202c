package cpu0

import (
	"runtime"
	"sync"
)

// parallel runs f(0..n-1). Worker w of W takes w, w+W, …; tasks must be
// independent, so the number of workers changes nothing but the time.
func parallel(n int, f func(task int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// rows runs f over [0, n) in ranges of about size rows.
func rows(n, size int, f func(lo, hi int)) {
	parallel((n+size-1)/size, func(t int) { f(t*size, min(n, (t+1)*size)) })
}
