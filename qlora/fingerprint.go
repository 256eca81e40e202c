package qlora

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
)

// weightsFingerprint identifies base weights by config.json, every tensor's
// name, type and shape, and its first values: cheap enough for each load, and
// different for any two models that were trained differently.
func weightsFingerprint(cfg *hfconfig.Config, src *safetensors.Model) (string, error) {
	h := sha256.New()
	h.Write(cfg.Raw)
	for _, info := range src.Tensors() {
		n := 1
		for _, s := range info.Shape {
			n *= s
		}
		v := make([]float32, min(n, 256))
		if err := src.ReadFloat32(info.Name, 0, v); err != nil {
			return "", err
		}
		fmt.Fprintln(h, info.Name, info.DType, info.Shape, v)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
