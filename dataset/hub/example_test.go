package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
)

func ExampleClient_Get() {
	content := "col\n1\n"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("ETag", `"`+gitHash([]byte(content))+`"`)
		fmt.Fprint(w, content)
	}))
	defer srv.Close()
	dir, err := os.MkdirTemp("", "hub")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	o := DefaultOptions()
	o.Endpoint, o.CacheDir = srv.URL, dir
	c, err := New(o, Env{})
	if err != nil {
		fmt.Println(err)
		return
	}
	at, err := c.Get(context.Background(), Repo{Kind: Dataset, ID: "own/set", Revision: commit}, "a.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := os.ReadFile(at)
	fmt.Printf("%q %v\n", b, err)
	// Output: "col\n1\n" <nil>
}
