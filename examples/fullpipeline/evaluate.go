package main

import (
	"context"
	"io"

	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/qlora"
)

func (p *pipeline) evaluate(ctx context.Context, w *stage.Work) error       { return nil }
func (p *pipeline) choice(ctx context.Context, m *qlora.Model) (any, error) { return nil, nil }
func (p *pipeline) verdict(w io.Writer)                                     {}
