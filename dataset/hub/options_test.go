package hub

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	c, _ := newFakeHub(t).client(nil)
	for _, p := range []string{"", ".", "../x", "a/../b", "/etc/passwd", `a\b`, "C:x", "a//b", "a/", "x\x00"} {
		_, err := c.Get(context.Background(), set, p)
		var e *OptionError
		require.ErrorAs(t, err, &e, "%q", p)
	}
	for _, r := range []Repo{{}, {Model, "../x", commit}, {Model, "a/b/c", commit}, {Model, "a", "main"}, {"space", "a", commit}, {Model, "a--b", commit}, {Model, "a", strings.ToUpper(commit)}} {
		_, err := c.Get(context.Background(), r, "f")
		require.Error(t, err, "%v", r)
	}
	for _, rev := range []string{"../x", "a//b", "", "-x"} {
		_, err := c.Resolve(context.Background(), Repo{Model, "a", rev}, "f")
		require.Error(t, err, rev)
	}
	require.Equal(t, "https://h/datasets/o/n/resolve/refs%2Fpr%2F1/a%20b/%E6%96%87.txt", Repo{Dataset, "o/n", "refs/pr/1"}.url("https://h/", "a b/文.txt"))
	require.Equal(t, "https://h/o/n/resolve/main/c", Repo{Model, "o/n", "main"}.url("https://h", "c"))
}

func TestFromEnvironment(t *testing.T) {
	env := map[string]string{}
	get := func(k string) string { return env[k] }
	o, token := FromEnvironment(get, "/home/u")
	require.Equal(t, filepath.Join("/home/u", ".cache", "huggingface", "hub"), o.CacheDir)
	require.False(t, o.Offline)
	require.Empty(t, token)
	require.NoError(t, o.Validate())
	env = map[string]string{"HF_HOME": "/h", "HF_HUB_OFFLINE": "1", "HF_TOKEN": " t\n", "HF_ENDPOINT": "http://mirror"}
	o, token = FromEnvironment(get, "/home/u")
	require.Equal(t, filepath.Join("/h", "hub"), o.CacheDir)
	require.True(t, o.Offline)
	require.Equal(t, "t", token)
	require.Equal(t, "http://mirror", o.Endpoint)
	env["HF_HUB_CACHE"] = "/c"
	o, _ = FromEnvironment(get, "/home/u")
	require.Equal(t, "/c", o.CacheDir)
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"Endpoint": func(o *Options) { o.Endpoint = "ftp://x" }, "user": func(o *Options) { o.Endpoint = "https://u:p@x" }, "CacheDir": func(o *Options) { o.CacheDir = "" },
		"MaxBytes": func(o *Options) { o.MaxBytes = 0 }, "MaxAttempts": func(o *Options) { o.MaxAttempts = 0 }, "RetrySeconds": func(o *Options) { o.RetrySeconds = -1 }, "TimeoutSeconds": func(o *Options) { o.TimeoutSeconds = 0 },
	} {
		o := DefaultOptions()
		o.CacheDir = "x"
		change(&o)
		_, err := New(o, Env{})
		require.Error(t, err, name)
	}
}
