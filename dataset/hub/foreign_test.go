package hub

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fetchScript = `
import sys
from huggingface_hub import hf_hub_download
cache, offline = sys.argv[1], sys.argv[2] == "offline"
for name in sys.argv[4:]:
    print(hf_hub_download("own/set", name, repo_type="dataset", revision=sys.argv[3], cache_dir=cache, local_files_only=offline))
`

// TestAgainstHuggingFaceHub lets the Python client (huggingface_hub 0.36.0) fetch
// the same files from the same server and has each side read the other's cache.
func TestAgainstHuggingFaceHub(t *testing.T) {
	python := os.Getenv("BOREA_HUB_PYTHON")
	if python == "" {
		t.Skip("set BOREA_HUB_PYTHON to a Python that has huggingface_hub")
	}
	h := newFakeHub(t)
	h.files["data/big.bin"], h.files["small.json"] = large(300_000), []byte(`{"a":1}`)
	names := []string{"data/big.bin", "small.json"}
	c, ours := h.client(nil)
	for _, n := range names {
		_, err := c.Get(context.Background(), set, n)
		require.NoError(t, err)
	}
	theirs := t.TempDir()
	run := func(cache, mode string) []string {
		cmd := exec.Command(python, append([]string{"-c", fetchScript, cache, mode, commit}, names...)...)
		cmd.Env = append(os.Environ(), "HF_ENDPOINT="+h.endpoint.URL, "HF_HUB_DISABLE_TELEMETRY=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.Fields(string(out))
	}
	run(theirs, "online")
	require.Equal(t, cacheTree(t, theirs), cacheTree(t, ours))
	for i, at := range run(ours, "offline") {
		requireFile(t, at, h.files[names[i]])
	}
	off, _ := h.client(func(o *Options, _ *Env) { o.Offline, o.CacheDir = true, theirs })
	for _, n := range names {
		at, err := off.Get(context.Background(), set, n)
		require.NoError(t, err)
		requireFile(t, at, h.files[n])
	}
}

// cacheTree lists files and links with their targets, without locks and tags.
func cacheTree(t *testing.T, dir string) (out []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		rel, err := filepath.Rel(dir, p)
		require.NoError(t, err)
		if d.IsDir() || strings.HasPrefix(rel, ".locks") || strings.HasSuffix(rel, ".lock") || strings.HasSuffix(rel, "CACHEDIR.TAG") {
			return nil
		}
		if target, err := os.Readlink(p); err == nil {
			rel += " -> " + target
		}
		out = append(out, rel)
		return nil
	}))
	return out
}
