package checkpoint

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/borea-go/borea/checkpoint/internal/sealed"
	"github.com/borea-go/borea/internal/crashfs"
)

// Session names one piece of work, across restarts.
type Session struct {
	// ID is the first start as %Y%m%d_%H%M%S, UTC, and eight random hex digits.
	ID string `json:"session_id"`
	// Starts counts the processes that opened the folder, this one included.
	Starts int64 `json:"starts"`
	// Step is the newest checkpoint's when this process opened it, else -1.
	Step int64 `json:"resumed_step"`
}

const (
	sessionKind    = "borea-session"
	sessionVersion = 1
	maxSession     = 64 << 10
	keptSessions   = 10
)

// Session returns the session of this store.
func (s *Store) Session() Session { return s.session }

// findSession continues the folder's session, or begins one.
func (s *Store) findSession(l listing) {
	s.session = Session{ID: s.knownID(l), Starts: l.lastStart() + 1, Step: -1}
	if s.session.ID == "" {
		var random [4]byte
		rand.Read(random[:])
		s.session.ID = s.env.Now().UTC().Format("20060102_150405_") + fmt.Sprintf("%x", random)
	}
}

// recordStart writes the session's record of this start.
func (s *Store) recordStart() error {
	for i := range s.owned {
		s.session.Step = max(s.session.Step, i.step)
	}
	return s.writeSession()
}

// knownID returns the id of the newest readable session record, else of the
// newest readable manifest.
func (s *Store) knownID(l listing) string {
	for n := len(l.sessions) - 1; n >= 0; n-- {
		b, err := crashfs.ReadFile(s.fs, sessionFile(l.sessions[n]), maxSession)
		var old Session
		if err == nil && sealed.Open(sessionKind, sessionVersion, b, &old) == nil && old.ID != "" {
			return old.ID
		}
	}
	for _, i := range l.ids {
		if m, err := s.readManifest(i); err == nil && m.Session != "" {
			return m.Session
		}
	}
	return ""
}

// writeSession takes the next free number, which is what two starts cannot share
// even where locks do not work. The entry becomes durable with the first save.
func (s *Store) writeSession() error {
	for {
		b, err := sealed.Seal(sessionKind, sessionVersion, s.session)
		if err != nil {
			return err
		}
		name := sessionFile(s.session.Starts)
		err = crashfs.WriteSynced(s.fs, name, 0o600, func(w io.Writer) error { _, err := w.Write(b); return err })
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		s.session.Starts++
	}
}

// dropSessions removes all but the newest records.
func (s *Store) dropSessions(l listing) {
	for _, start := range l.sessions[:max(0, len(l.sessions)-keptSessions)] {
		if err := s.fs.Remove(sessionFile(start)); err != nil {
			s.env.Logger.Warn("old session record not removed", "start", start, "error", err)
		}
	}
}
