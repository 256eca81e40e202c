package image

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
)

func TestRoundTrip(t *testing.T) {
	hash, bin, err := Open(Make("abc", []byte{1, 2}))
	if err != nil || hash != "abc" || !bytes.Equal(bin, []byte{1, 2}) {
		t.Errorf("%q %v %v", hash, bin, err)
	}
	for _, bad := range [][]byte{nil, []byte("borea"), make([]byte, 300)} {
		if _, _, err := Open(bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func TestHashFollowsIncludes(t *testing.T) {
	fsys := fstest.MapFS{
		"a.cu":  {Data: []byte("#include \"b.cuh\"\n#include <x>\n")},
		"b.cuh": {Data: []byte("#include \"c.cuh\"\n")},
		"c.cuh": {Data: []byte("one")},
	}
	before, err := Hash(fsys, "a.cu")
	if err != nil {
		t.Fatal(err)
	}
	fsys["c.cuh"] = &fstest.MapFile{Data: []byte("two")}
	if after, err := Hash(fsys, "a.cu"); err != nil || after == before {
		t.Errorf("%v, same hash %v", err, after == before)
	}
	delete(fsys, "c.cuh")
	if _, err := Hash(fsys, "a.cu"); err == nil {
		t.Error("a missing include is no error")
	}
}

func ExampleOpen() {
	hash, binary, err := Open(Make("5eed", []byte("code")))
	fmt.Println(hash, len(binary), err)
	// Output: 5eed 4 <nil>
}
