package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/qlora"
)

// A text's features are its own: the same alone, among longer and shorter texts, and in
// another order, so that no padding and no neighbour enters the pooling. The last bit
// may differ: attention adds up in blocks of the whole batch.
func TestFeaturesDoNotDependOnTheBatch(t *testing.T) {
	needModel(t)
	ctx := context.Background()
	m, err := qlora.OpenWithAdapter(ctx, "", "", qlora.DefaultLoadOptions(), qlora.Env{})
	require.NoError(t, err)
	defer m.Close()
	b, err := qlora.NewBackbone(m, qlora.BackboneOptions{Options: qlora.DefaultOptions(), MaxTokens: 400, BatchTokens: 800})
	require.NoError(t, err)
	items, err := label.Gold()
	require.NoError(t, err)
	texts := []string{"短", strings.Repeat("港湾の運営を確かめる。", 20)}
	for _, g := range items[:30] {
		texts = append(texts, g.Text)
	}
	for name, backbone := range map[string]classifier.Backbone{"model": m, "trainable": b} {
		together, err := backbone.Features(ctx, texts)
		require.NoError(t, err)
		backwards := slices.Clone(texts)
		slices.Reverse(backwards)
		reversed, err := backbone.Features(ctx, backwards)
		require.NoError(t, err)
		c := backbone.Width()
		for i, text := range texts {
			alone, err := backbone.Features(ctx, []string{text})
			require.NoError(t, err)
			near(t, alone, together[i*c:(i+1)*c], name, text)
			near(t, alone, reversed[(len(texts)-1-i)*c:(len(texts)-i)*c], name, text)
		}
	}
}

func near(t *testing.T, want, got []float32, name, text string) {
	t.Helper()
	for i, v := range want {
		require.InDelta(t, v, got[i], 2e-6, "%s, %q, feature %d", name, text, i)
	}
}
