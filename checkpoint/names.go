package checkpoint

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	lockName      = "LOCK"
	tempPrefix    = ".tmp-"
	oldPrefix     = ".old-"
	badPrefix     = "quarantine-"
	sessionPrefix = "SESSION-"
)

// id names a checkpoint: the step, the number of the start that saved it, and
// the number of the save within that start.
type id struct{ step, start, serial int64 }

const idFormat = "ckpt-%012d-%06d-%06d"

// String returns the folder's name.
func (i id) String() string { return fmt.Sprintf(idFormat, i.step, i.start, i.serial) }

func (i id) compare(j id) int {
	return cmp.Or(cmp.Compare(i.step, j.step), cmp.Compare(i.start, j.start), cmp.Compare(i.serial, j.serial))
}

// parseID reads a folder's name; only what String writes is one.
func parseID(name string) (i id, ok bool) {
	rest, ok := strings.CutPrefix(name, "ckpt-")
	parts := strings.Split(rest, "-")
	if !ok || len(parts) != 3 {
		return id{}, false
	}
	for n, p := range []*int64{&i.step, &i.start, &i.serial} {
		*p, _ = strconv.ParseInt(parts[n], 10, 64) // what is no number does not come back
	}
	return i, i.String() == name
}

func sessionFile(start int64) string { return fmt.Sprintf("%s%06d", sessionPrefix, start) }

func parseSession(name string) (start int64, ok bool) {
	digits, ok := strings.CutPrefix(name, sessionPrefix)
	start, _ = strconv.ParseInt(digits, 10, 64)
	return start, ok && sessionFile(start) == name
}

// listing is what the folder holds, by kind.
type listing struct {
	ids      []id // newest first
	bad      []id // in quarantine, newest first
	sessions []int64
	leftover []string // of interrupted saves and removals
}

func (s *Store) list() (l listing, err error) {
	entries, err := s.fs.ReadDir(".")
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		l.add(e.Name)
	}
	newestFirst := func(a, b id) int { return b.compare(a) }
	slices.SortFunc(l.ids, newestFirst)
	slices.SortFunc(l.bad, newestFirst)
	slices.Sort(l.sessions)
	return l, nil
}

func (l *listing) add(name string) {
	bad := strings.HasPrefix(name, badPrefix)
	if i, ok := parseID(strings.TrimPrefix(name, badPrefix)); ok && bad {
		l.bad = append(l.bad, i)
	} else if ok {
		l.ids = append(l.ids, i)
	}
	if start, ok := parseSession(name); ok {
		l.sessions = append(l.sessions, start)
	}
	for _, prefix := range []string{tempPrefix, oldPrefix} {
		if _, ok := parseID(strings.TrimPrefix(name, prefix)); ok && strings.HasPrefix(name, prefix) {
			l.leftover = append(l.leftover, name)
		}
	}
}

// lastStart returns the largest number of a start that left a trace.
func (l *listing) lastStart() int64 {
	var last int64
	for _, i := range slices.Concat(l.ids, l.bad) {
		last = max(last, i.start)
	}
	for _, n := range l.sessions {
		last = max(last, n)
	}
	return last
}
