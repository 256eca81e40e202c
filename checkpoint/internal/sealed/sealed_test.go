package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

type value struct {
	A int    `json:"a"`
	S string `json:"s"`
}

func ExampleSeal() {
	b, err := Seal("note", 1, map[string]int{"a": 1})
	fmt.Print(string(b))
	var v map[string]int
	fmt.Println(Open("note", 1, b, &v), v, err)
	// Output:
	// note 1
	// {"a":1}
	// sha256 235a8578454742781981a1fd6a605e3fe4a65c5cb9413ae75e60153d5c668196
	// <nil> map[a:1] <nil>
}

func TestEveryChangeIsFound(t *testing.T) {
	b, err := Seal("note", 1, value{7, "x\ny"})
	if err != nil {
		t.Fatal(err)
	}
	var v value
	if err := Open("note", 1, b, &v); err != nil || v != (value{7, "x\ny"}) {
		t.Fatal(v, err)
	}
	for bit := range 8 * len(b) {
		bad := bytes.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		if Open("note", 1, bad, &v) == nil {
			t.Errorf("bit %d", bit)
		}
	}
	for n := range b {
		if !errors.Is(Open("note", 1, b[:n], &v), ErrTorn) {
			t.Errorf("cut at %d", n)
		}
	}
	if !errors.Is(Open("note", 1, append(b, 0), &v), ErrTorn) {
		t.Error("a byte more")
	}
}

func TestKindAndVersion(t *testing.T) {
	b, _ := Seal("note", 2, value{})
	var v value
	if err := Open("letter", 2, b, &v); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	var other *VersionError
	if err := Open("note", 1, b, &v); !errors.As(err, &other) || other.Version != 2 || other.Known != 1 {
		t.Error(err)
	}
	if _, err := Seal("note", 1, func() {}); err == nil {
		t.Error("a function was sealed")
	}
}

func FuzzOpen(f *testing.F) {
	b, _ := Seal("note", 1, value{1, "s"})
	f.Add(b)
	f.Add([]byte("note 1\n{}\nsha256 00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v value
		if Open("note", 1, b, &v) != nil {
			return
		}
		again, err := Seal("note", 1, v)
		if err != nil || Open("note", 1, again, &v) != nil {
			t.Fatal("what opened cannot be sealed again")
		}
	})
}
