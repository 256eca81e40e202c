package cpu

import "testing"

// TestDynamicMap checks the shape of both tables and that codes are nearest.
func TestDynamicMap(t *testing.T) {
	for _, signed := range []bool{true, false} {
		c := newCodebook(signed)
		if c.value[255] != 1 || (c.value[0] == 0) == signed {
			t.Errorf("signed %v: from %v to %v", signed, c.value[0], c.value[255])
		}
		for i, v := range c.value {
			if got := c.code(v); int(got) != i {
				t.Fatalf("signed %v: value %v of code %d gets code %d", signed, v, i, got)
			}
			if i == 255 {
				break
			}
			if c.value[i+1] <= v {
				t.Fatalf("signed %v: code %d is not above %d", signed, i+1, i)
			}
			if got := c.code(c.mid[i]); int(got) != i {
				t.Errorf("signed %v: halfway above code %d gets code %d", signed, i, got)
			}
		}
	}
}

// TestDynamicMapEnds pins values known from bitsandbytes' tables.
func TestDynamicMapEnds(t *testing.T) {
	s, u := newCodebook(true), newCodebook(false)
	for _, c := range []struct{ got, want float32 }{
		{s.value[0], -0.99296875}, {s.value[127], 0}, {s.value[128], 5.5e-7}, {s.value[254], 0.99296875},
		{u.value[0], 0}, {u.value[1], 3.25e-7}, {u.value[2], 7.75e-7}, {u.value[254], 0.996484375},
	} {
		if d := c.got - c.want; d > 1e-6*c.want && d > 1e-9 || -d > 1e-6*c.want && -d > 1e-9 {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}
