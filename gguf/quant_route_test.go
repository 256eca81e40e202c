package gguf

import "testing"

// routes lists what this processor can run, portable Go first.
func routes() (list []route) {
	for r := portable; r <= widest(); r++ {
		list = append(list, r)
	}
	return list
}

// force makes the quantizers take a route until the test ends.
func force(t testing.TB, r route) {
	before := chosen
	chosen = r
	t.Cleanup(func() { chosen = before })
}
