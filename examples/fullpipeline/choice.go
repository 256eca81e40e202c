package main

import (
	"context"

	"github.com/borea-go/borea/qlora"
)

func (p *pipeline) choice(ctx context.Context, m *qlora.Model) (any, error) { return nil, nil }
