package rewrite

import "sync"

// inOrder calls produce for 0 to n-1, at most workers at the same time, and use
// with each part in order, on the calling goroutine. Part i+workers is not begun
// before use is done with part i. It returns the first error in that order, once
// nothing runs any more.
func inOrder[T any](workers, n int, produce func(i int) (T, error), use func(T) error) error {
	type part struct {
		value T
		err   error
	}
	ahead := make(chan chan part, max(workers-1, 0)) // beside the part that is waited for
	stop := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(stop)
	wait.Go(func() {
		defer close(ahead)
		for i := range n {
			c := make(chan part, 1)
			select {
			case ahead <- c:
				wait.Go(func() {
					v, err := produce(i)
					c <- part{v, err}
				})
			case <-stop:
				return
			}
		}
	})
	for c := range ahead {
		p := <-c
		if p.err == nil {
			p.err = use(p.value)
		}
		if p.err != nil {
			return p.err
		}
	}
	return nil
}
