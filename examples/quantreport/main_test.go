package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/qlora"
)

func TestReportsBeforeAndAfter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	args := []string{"-data", "../fullpipeline/prose.jsonl", "-calibrate", path, "-tokens", "300", "-length", "200"}
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), append(args, "-json"), &out))
	var r [2]qlora.QuantReport
	dec := json.NewDecoder(&out)
	require.NoError(t, dec.Decode(&r[0]))
	require.NoError(t, dec.Decode(&r[1]))
	require.False(t, r[0].Smoothed)
	require.True(t, r[1].Smoothed)
	require.Equal(t, 300, r[0].Tokens)
	require.Less(t, r[1].Mean(""), r[0].Mean(""))

	require.NoError(t, run(context.Background(), args, &out))
	require.Contains(t, out.String(), "model.layers.5.mlp.down_proj")
	require.Error(t, run(context.Background(), nil, &out))
}
