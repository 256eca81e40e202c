package qlora

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/checkpoint/safetensors"
)

// widen copies a model directory with its weights as float32.
func widen(t *testing.T, src, dst string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dst, 0o755))
	require.NoError(t, copyPlainFiles(os.DirFS(src), dst))
	m, err := safetensors.OpenModel(os.DirFS(src))
	require.NoError(t, err)
	defer m.Close()
	var tensors []safetensors.Tensor
	for _, info := range m.Tensors() {
		v, err := m.Float32(info.Name)
		require.NoError(t, err)
		tensors = append(tensors, safetensors.F32Tensor(info.Name, info.Shape, v))
	}
	f, err := os.Create(filepath.Join(dst, safetensors.SingleFile))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, safetensors.Write(f, tensors, nil))
}
