package checkpoint

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
)

const sessionName = "session.json"

// Session names one piece of work, across restarts.
type Session struct {
	// ID is the start as %Y%m%d_%H%M%S, UTC, and eight random digits.
	ID string `json:"session_id"`
	// Starts counts processes that opened the store, this one included.
	Starts int `json:"starts"`
}

// Session returns the session of this store.
func (s *Store) Session() Session { return s.session }

// openSession continues the session on disk or begins one. A torn session file
// is only a lost id, never a lost checkpoint: a new id is drawn.
func (s *Store) openSession() error {
	b, err := readAll(s.fs, sessionName, 1<<16)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	if json.Unmarshal(b, &s.session) != nil || s.session.ID == "" {
		var random [4]byte
		rand.Read(random[:])
		s.session = Session{ID: s.env.Now().UTC().Format("20060102_150405") + "_" + hex.EncodeToString(random[:])}
	}
	s.session.Starts++
	return s.writeSession()
}

func (s *Store) writeSession() error {
	b, err := json.Marshal(s.session)
	if err != nil {
		return err
	}
	temp := tempPrefix + sessionName
	if _, err := s.writeFile(temp, false, copyFrom(append(b, '\n'))); err != nil {
		return classify(err)
	}
	if err := s.fs.Rename(temp, sessionName); err != nil {
		return classify(err)
	}
	return classify(s.fs.SyncDir(""))
}
