package checkpoint

import (
	"slices"

	"github.com/borea-go/borea/internal/crashfs"
)

// rotate removes all but the newest checkpoints of this session. It runs after a
// save is durable, so the newest is never among them. A checkpoint is renamed away
// and the folder synced before anything in it is deleted; a half-deleted one is
// thus never taken for a checkpoint. The save stands even if this fails.
func (s *Store) rotate() {
	l, err := s.list()
	if err != nil {
		s.env.Logger.Warn("old checkpoints not removed", "error", err)
		return
	}
	ours := slices.DeleteFunc(l.ids, func(i id) bool { return !s.owned[i] })
	if len(ours) <= s.opts.Keep {
		return
	}
	if err := s.remove(ours[s.opts.Keep:]); err != nil {
		s.env.Logger.Warn("old checkpoints not removed", "error", err)
	}
}

func (s *Store) remove(ids []id) error {
	for _, i := range ids {
		if err := s.fs.Rename(i.String(), oldPrefix+i.String()); err != nil {
			return err
		}
		delete(s.owned, i)
	}
	if err := s.fs.Sync("."); err != nil {
		return err
	}
	for _, i := range ids {
		if err := crashfs.RemoveAll(s.fs, oldPrefix+i.String()); err != nil {
			return err
		}
	}
	return nil
}
