package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/gguf"
)

func TestConvertAndInspect(t *testing.T) {
	const model = "../fullpipeline/model"
	if _, err := os.Stat(model); err != nil {
		t.Skip("the bundled model is not here")
	}
	out := filepath.Join(t.TempDir(), "m.gguf")
	require.NoError(t, run(context.Background(), []string{"-model", model, "-type", "q8_0", "-out", out, "-name", "Aozora", "-json"}))
	var text bytes.Buffer
	require.NoError(t, inspect(&text, out, false))
	require.Contains(t, text.String(), "Aozora (phi-3)")
	require.Contains(t, text.String(), "blk.5.ffn_down.weight")
	text.Reset()
	require.NoError(t, inspect(&text, out, true))
	var l listing
	require.NoError(t, json.Unmarshal(text.Bytes(), &l))
	require.Len(t, l.Tensors, 40)
	require.Equal(t, 3, l.Version)
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		want error
		says string
	}{
		{"", errUsage, "-model"},
		{"-model x extra", errUsage, "extra"},
		{"-model x -type Q9", gguf.ErrOption, "Q5_K_M"},
		{"-model x -policy none", gguf.ErrOption, "llama.cpp-2026"},
		{"-model x -memory 0", gguf.ErrOption, "memory"},
		{"-workers many", errUsage, "many"},
		{"-model missing -out " + filepath.Join(t.TempDir(), "o.gguf"), os.ErrNotExist, "config.json"},
		{"-inspect missing.gguf", os.ErrNotExist, "missing.gguf"},
	} {
		err := run(context.Background(), strings.Fields(c.args))
		require.Truef(t, errors.Is(err, c.want), "%s: %v", c.args, err)
		require.Contains(t, err.Error(), c.says, c.args)
	}
}

// Control characters of a strange file must not reach the terminal.
func TestShort(t *testing.T) {
	require.Equal(t, `a\x1b[31m\n`, short("a\x1b[31m\n"))
	require.LessOrEqual(t, len([]rune(short(strings.Repeat("長", 500)))), 72)
}
