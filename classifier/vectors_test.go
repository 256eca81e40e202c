package classifier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/borea-go/borea/label"
)

func TestReadVectors(t *testing.T) {
	v, ex, err := ReadVectors(strings.NewReader("# class, two features\nALLOW,1,-2.5\nDENY,0,1e-3\n"))
	if err != nil || v.Width() != 2 || len(ex) != 2 || ex[1] != (Example{"2", label.Deny}) {
		t.Fatal(v, ex, err)
	}
	x, err := v.Features(context.Background(), []string{"2", "1"})
	if err != nil || !slices.Equal(x, []float32{0, 1e-3, 1, -2.5}) {
		t.Error(x, err)
	}
	var in *InputError
	if _, err = v.Features(context.Background(), []string{"1", "3"}); !errors.As(err, &in) || in.Index != 1 {
		t.Error(err)
	}
	if err := v.Add("1", []float32{1, 2}); !errors.Is(err, ErrVector) {
		t.Error(err)
	}
	for name, file := range map[string]string{"empty": "", "class": "MAYBE,1\n", "no class": ",1\n", "number": "ALLOW,1\nALLOW,x\n",
		"width": "ALLOW,1\nALLOW,1,2\n", "no features": "ALLOW\n", "huge": "ALLOW,1e60\n",
		"NaN": "ALLOW,NaN\n", "infinite": "ALLOW,-Inf\n"} {
		if _, _, err := ReadVectors(strings.NewReader(file)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzReadVectors(f *testing.F) {
	f.Add("ALLOW,1,2\nDENY,3,4\n")
	f.Fuzz(func(t *testing.T, file string) {
		v, ex, err := ReadVectors(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, e := range ex {
			if x, err := v.Features(context.Background(), []string{e.Text}); err != nil || len(x) != v.Width() {
				t.Errorf("%q: %v, %v", e.Text, x, err)
			}
		}
	})
}
