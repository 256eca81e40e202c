package crawl

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/borea-go/borea/dataset"
)

const frontierVersion = "1"

// Buckets: "meta" (version), "holds" (host → Unix nanoseconds), "lanes" (name →
// a bucket with the five below).
var (
	metaBucket    = []byte("meta")
	holdsBucket   = []byte("holds")
	lanesBucket   = []byte("lanes")
	queueBucket   = []byte("queue")   // sequence → Item
	seenBucket    = []byte("seen")    // half a SHA-256 of the URL
	contentBucket = []byte("content") // Sample.ID
	samplesBucket = []byte("samples") // index → Sample
	countsBucket  = []byte("counts")  // name or reason → number
	laneBuckets   = [][]byte{queueBucket, seenBucket, contentBucket, samplesBucket, countsBucket}
	versionKey    = []byte("version")
)

// Names in countsBucket that are not reasons.
const (
	visitedCount  = "=visited"
	keptCount     = "=kept"
	queuedCount   = "=queued"
	overflowCount = "=overflow"
)

type boltFrontier struct {
	db   *bolt.DB
	path string
}

// OpenFrontier opens or creates a frontier in a bbolt file. What is committed
// is on disk before Commit returns, so a crawl that is killed continues with
// the page it was at. The error is ErrLocked where another process has the file
// and ErrFrontier where it is none.
func OpenFrontier(path string) (Frontier, error) {
	if err := checkBoltSize(path); err != nil {
		return nil, err
	}
	f := &boltFrontier{path: path}
	err := guarded(path, f.open)
	if err == nil {
		return f, nil
	}
	if f.db != nil {
		err = errors.Join(err, guarded(path, f.db.Close))
	}
	return nil, err
}

func (f *boltFrontier) open() (err error) {
	f.db, err = bolt.Open(f.path, 0o644, &bolt.Options{Timeout: time.Second})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %s", ErrLocked, f.path)
	case errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrChecksum) || errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %s: %w", ErrFrontier, f.path, err)
	case err != nil:
		return f.wrap(err)
	}
	return f.wrap(f.db.Update(prepareFrontier))
}

// guarded runs fn and turns a panic into an error. bbolt panics on damaged
// files, and where their page numbers lead outside the mapped file it faults.
func guarded(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: %v", ErrFrontier, path, p)
		}
	}()
	return fn()
}

func prepareFrontier(tx *bolt.Tx) error {
	for _, name := range [][]byte{metaBucket, holdsBucket, lanesBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	switch v := string(meta.Get(versionKey)); v {
	case frontierVersion:
		return nil
	case "":
		return meta.Put(versionKey, []byte(frontierVersion))
	default:
		return fmt.Errorf("%w of version %s: version %q", ErrFrontier, frontierVersion, v)
	}
}

func (f *boltFrontier) Close() error { return guarded(f.path, f.db.Close) }

func (f *boltFrontier) Hold(host string, until time.Time) error {
	return f.update(func(tx *bolt.Tx) error { return putHold(tx, host, until) })
}

func putHold(tx *bolt.Tx, host string, until time.Time) error {
	holds := tx.Bucket(holdsBucket)
	nanos := uint64(until.UnixNano())
	if host == "" || until.IsZero() || nanos <= number(holds.Get([]byte(host))) {
		return nil
	}
	return holds.Put([]byte(host), bytesOf(nanos))
}

func (f *boltFrontier) Holds() (map[string]time.Time, error) {
	out := map[string]time.Time{}
	err := f.view(func(tx *bolt.Tx) error {
		return tx.Bucket(holdsBucket).ForEach(func(k, v []byte) error {
			out[string(k)] = time.Unix(0, int64(number(v)))
			return nil
		})
	})
	return out, err
}

func (f *boltFrontier) Lane(name string, maxQueue int) (Lane, error) {
	err := f.update(func(tx *bolt.Tx) error {
		b, err := tx.Bucket(lanesBucket).CreateBucketIfNotExists([]byte(name))
		if err != nil {
			return err
		}
		for _, sub := range laneBuckets {
			if _, err := b.CreateBucketIfNotExists(sub); err != nil {
				return err
			}
		}
		return nil
	})
	return &boltLane{f: f, name: []byte(name), maxQueue: maxQueue}, err
}

func (f *boltFrontier) update(fn func(*bolt.Tx) error) error {
	return guarded(f.path, func() error { return f.wrap(f.db.Update(fn)) })
}

func (f *boltFrontier) view(fn func(*bolt.Tx) error) error {
	return guarded(f.path, func() error { return f.wrap(f.db.View(fn)) })
}

func (f *boltFrontier) wrap(err error) error {
	if err == nil || errors.Is(err, ErrNotHead) {
		return err
	}
	return fmt.Errorf("crawl: frontier %s: %w", f.path, err)
}

type boltLane struct {
	f        *boltFrontier
	name     []byte
	maxQueue int
}

func (l *boltLane) update(fn func(laneTx) error) error {
	return l.f.update(func(tx *bolt.Tx) error {
		return fn(laneTx{tx.Bucket(lanesBucket).Bucket(l.name), l.maxQueue})
	})
}

func (l *boltLane) view(fn func(laneTx) error) error {
	return l.f.view(func(tx *bolt.Tx) error {
		return fn(laneTx{tx.Bucket(lanesBucket).Bucket(l.name), l.maxQueue})
	})
}

func (l *boltLane) Add(items ...Item) error {
	return l.update(func(t laneTx) error { return t.add(items) })
}

func (l *boltLane) Head() (it Item, ok bool, err error) {
	err = l.view(func(t laneTx) (err error) {
		_, it, ok, err = t.head()
		return err
	})
	return it, ok, err
}

func (l *boltLane) Commit(v Visit) error {
	return l.f.update(func(tx *bolt.Tx) error {
		t := laneTx{tx.Bucket(lanesBucket).Bucket(l.name), l.maxQueue}
		if err := t.commit(v); err != nil {
			return err
		}
		return putHold(tx, v.Host, v.HoldUntil)
	})
}

func (l *boltLane) Counts() (c Counts, err error) {
	err = l.view(func(t laneTx) (err error) {
		c, err = t.counts()
		return err
	})
	return c, err
}

func (l *boltLane) Sample(i int) (s dataset.Sample, ok bool, err error) {
	err = l.view(func(t laneTx) error {
		v := t.b.Bucket(samplesBucket).Get(bytesOf(uint64(i)))
		if ok = v != nil; !ok {
			return nil
		}
		return json.Unmarshal(v, &s)
	})
	return s, ok && err == nil, err
}

func (l *boltLane) HasContent(id string) (ok bool, err error) {
	err = l.view(func(t laneTx) error {
		ok = t.b.Bucket(contentBucket).Get([]byte(id)) != nil
		return nil
	})
	return ok, err
}

// laneTx is a lane within one transaction.
type laneTx struct {
	b        *bolt.Bucket
	maxQueue int
}

func (t laneTx) add(items []Item) error {
	for _, it := range items {
		if t.seen(it.URL) {
			continue
		}
		if t.count(queuedCount) >= uint64(t.maxQueue) {
			if err := t.bump(overflowCount, 1); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(t.markSeen(it.URL), t.push(it), t.bump(queuedCount, 1)); err != nil {
			return err
		}
	}
	return nil
}

func (t laneTx) push(it Item) error {
	q := t.b.Bucket(queueBucket)
	n, err := q.NextSequence()
	if err != nil {
		return err
	}
	return putJSON(q, n, it)
}

func (t laneTx) head() (key []byte, it Item, ok bool, err error) {
	key, v := t.b.Bucket(queueBucket).Cursor().First()
	if key == nil {
		return nil, it, false, nil
	}
	err = json.Unmarshal(v, &it)
	return key, it, err == nil, err
}

func (t laneTx) commit(v Visit) error {
	key, it, ok, err := t.head()
	if err != nil {
		return err
	}
	if !ok || it != v.Item {
		return ErrNotHead
	}
	if err := errors.Join(t.b.Bucket(queueBucket).Delete(key), t.bump(queuedCount, -1), t.bump(visitedCount, 1)); err != nil {
		return err
	}
	for _, u := range v.Seen {
		if err := t.markSeen(u); err != nil {
			return err
		}
	}
	if v.Sample == nil {
		return errors.Join(t.bump(string(v.Reason), 1), t.add(v.Links))
	}
	return errors.Join(t.keep(v.Sample), t.add(v.Links))
}

func (t laneTx) keep(s *dataset.Sample) error {
	n := t.count(keptCount)
	return errors.Join(putJSON(t.b.Bucket(samplesBucket), n, s),
		t.b.Bucket(contentBucket).Put([]byte(s.ID), []byte{}), t.bump(keptCount, 1))
}

func (t laneTx) seen(url string) bool {
	return t.b.Bucket(seenBucket).Get(urlKey(url)) != nil
}

func (t laneTx) markSeen(url string) error {
	return t.b.Bucket(seenBucket).Put(urlKey(url), []byte{})
}

func urlKey(url string) []byte {
	h := sha256.Sum256([]byte(url))
	return h[:16]
}

func (t laneTx) count(name string) uint64 {
	return number(t.b.Bucket(countsBucket).Get([]byte(name)))
}

func (t laneTx) bump(name string, by int) error {
	return t.b.Bucket(countsBucket).Put([]byte(name), bytesOf(t.count(name)+uint64(by)))
}

func (t laneTx) counts() (Counts, error) {
	c := Counts{
		Visited: int(t.count(visitedCount)), Kept: int(t.count(keptCount)),
		Queued: int(t.count(queuedCount)), Overflow: int(t.count(overflowCount)),
		Drops: map[Reason]int{},
	}
	err := t.b.Bucket(countsBucket).ForEach(func(k, v []byte) error {
		if k[0] != '=' {
			c.Drops[Reason(k)] = int(number(v))
		}
		return nil
	})
	return c, err
}

func putJSON(b *bolt.Bucket, key uint64, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(bytesOf(key), data)
}

func bytesOf(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// number reads what bytesOf wrote; nothing is 0.
func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
