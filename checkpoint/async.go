package checkpoint

import (
	"context"
	"errors"
)

// begin restarts the interval of Due.
func (s *Store) begin() {
	s.timing.Lock()
	defer s.timing.Unlock()
	s.last = s.env.Clock()
}

// SaveAsync starts a save in the background and returns; st must be a snapshot. If
// an earlier one still runs, it waits for that first, or for the end of ctx, and
// then saves nothing. Once begun, a save is not cut short by ctx. The error of an
// earlier background save is returned here or by Wait, once; the new save is
// started all the same.
func (s *Store) SaveAsync(ctx context.Context, st State) error {
	select {
	case s.slot <- struct{}{}:
	case <-ctx.Done():
		return s.wrap("save", context.Cause(ctx))
	}
	s.begin()
	earlier := s.takeFailed()
	go func() {
		defer func() { <-s.slot }()
		if err := s.Save(context.WithoutCancel(ctx), st); err != nil {
			s.timing.Lock()
			defer s.timing.Unlock()
			s.failed = append(s.failed, err)
		}
	}()
	return earlier
}

// Wait waits for a background save and returns its error, once.
func (s *Store) Wait() error {
	s.slot <- struct{}{}
	defer func() { <-s.slot }()
	return s.takeFailed()
}

func (s *Store) takeFailed() error {
	s.timing.Lock()
	defer s.timing.Unlock()
	err := errors.Join(s.failed...)
	s.failed = nil
	return err
}
