package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// checkKeys walks a line that encoding/json has accepted and rejects what that
// package lets pass: a key twice in one object (it keeps the last; at the top
// level it also ignores case) and an escape of an unpaired surrogate (it writes
// U+FFFD).
func checkKeys(line []byte) *LineError {
	w := keyWalk{b: line}
	for w.i < len(w.b) {
		if err := w.step(); err != nil {
			return err
		}
	}
	return nil
}

type keyWalk struct {
	b     []byte
	i     int
	stack []keySet // one per open object or array
	isKey bool
}

type keySet struct {
	object bool
	keys   map[string]struct{}
}

func (w *keyWalk) step() *LineError {
	switch w.b[w.i] {
	case '{':
		w.stack = append(w.stack, keySet{object: true})
		w.isKey = true
	case '[':
		w.stack = append(w.stack, keySet{})
		w.isKey = false
	case '}', ']':
		w.stack = w.stack[:len(w.stack)-1]
		w.isKey = false
	case ',':
		w.isKey = len(w.stack) > 0 && w.stack[len(w.stack)-1].object
	case ':':
		w.isKey = false
	case '"':
		return w.str()
	}
	w.i++
	return nil
}

// str reads a string, whose first quote is at w.i.
func (w *keyWalk) str() *LineError {
	start := w.i
	escaped := false
	for w.i++; w.b[w.i] != '"'; w.i++ {
		if w.b[w.i] == '\\' {
			escaped = true
			w.i++
		}
	}
	w.i++
	raw := w.b[start:w.i]
	if escaped && unpairedSurrogate(raw) {
		return &LineError{Reason: InvalidUTF8, Column: int64(start), Err: errors.New("unpaired surrogate escape")}
	}
	if !w.isKey {
		return nil
	}
	return w.addKey(raw, escaped, start)
}

func (w *keyWalk) addKey(raw []byte, escaped bool, at int) *LineError {
	key := string(raw[1 : len(raw)-1])
	if escaped {
		// The line is valid JSON, so a string in it unquotes.
		_ = json.Unmarshal(raw, &key)
	}
	if len(w.stack) == 1 {
		key = strings.ToLower(key)
	}
	top := &w.stack[len(w.stack)-1]
	if _, twice := top.keys[key]; twice {
		return &LineError{Reason: DuplicateKey, Column: int64(at), Err: fmt.Errorf("key %q appears twice", key)}
	}
	if top.keys == nil {
		top.keys = map[string]struct{}{}
	}
	top.keys[key] = struct{}{}
	return nil
}

func unpairedSurrogate(s []byte) bool {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			i++
			continue
		}
		if s[i+1] != 'u' {
			i += 2
			continue
		}
		switch u := hex4(s[i+2:]); {
		case u>>10 == 0x37: // low without high
			return true
		case u>>10 == 0x36:
			rest := s[i+6:]
			if !bytes.HasPrefix(rest, []byte(`\u`)) || hex4(rest[2:])>>10 != 0x37 {
				return true
			}
			i += 12
		default:
			i += 6
		}
	}
	return false
}

func hex4(b []byte) uint64 {
	if len(b) < 4 {
		return 0
	}
	u, _ := strconv.ParseUint(string(b[:4]), 16, 16)
	return u
}
