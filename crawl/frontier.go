package crawl

import (
	"maps"
	"sync"
	"time"

	"github.com/borea-go/borea/dataset"
)

// Item is one URL to visit.
type Item struct {
	URL     string `json:"url"`
	Depth   int    `json:"depth,omitempty"`   // links away from the seed
	Sitemap bool   `json:"sitemap,omitempty"` // a sitemap, read for its links only
}

// Visit is the outcome of one item, committed at once.
type Visit struct {
	Item      Item
	Reason    Reason          // why there is no sample; empty where there is one
	Sample    *dataset.Sample // nil where Reason is set
	Links     []Item          // found; those already seen are skipped
	Seen      []string        // further URLs the page was reached by, not to be visited again
	Host      string          // whom the visit asked
	HoldUntil time.Time       // before when the host must not be asked again
}

// Counts is the state of a lane: Visited = Kept + the sum of Drops, always.
type Counts struct {
	Visited  int            `json:"visited"`
	Kept     int            `json:"kept"`
	Drops    map[Reason]int `json:"drops,omitempty"`
	Queued   int            `json:"queued"`             // still to visit
	Overflow int            `json:"overflow,omitempty"` // links not queued because the queue was full
}

// pages is the number of visits that count against the page budget.
func (c Counts) pages() int { return c.Visited - c.Drops[Sitemap] }

// Frontier keeps what a crawl has still to visit and what it has found. Lanes
// are independent; a Frontier is safe for concurrent use, a Lane for one visitor
// beside any number of readers.
type Frontier interface {
	// Lane opens the lane of that name, empty if it is new. At most maxQueue
	// items wait in it.
	Lane(name string, maxQueue int) (Lane, error)
	// Hold keeps the host from being asked before until; an earlier time than one
	// already known changes nothing.
	Hold(host string, until time.Time) error
	// Holds returns until when each host must not be asked.
	Holds() (map[string]time.Time, error)
	// Close releases what the frontier holds. Lanes must not be used after it.
	Close() error
}

// Lane is the queue and the results of one seed, first in, first out.
type Lane interface {
	// Add queues the items whose URL the lane has not seen.
	Add(items ...Item) error
	// Head returns the next item, which stays first until it is committed.
	Head() (Item, bool, error)
	// Commit removes the head, which must be v.Item (else ErrNotHead), and
	// records its outcome; either all of it lasts or none.
	Commit(v Visit) error
	// Counts returns the lane's state.
	Counts() (Counts, error)
	// Sample returns the i-th sample committed, and whether there is one.
	Sample(i int) (dataset.Sample, bool, error)
	// HasContent reports whether a committed sample has that ID.
	HasContent(id string) (bool, error)
}

// NewMemoryFrontier returns a frontier that is gone when the process ends.
func NewMemoryFrontier() Frontier {
	return &memoryFrontier{lanes: map[string]*memoryLane{}, holds: map[string]time.Time{}}
}

type memoryFrontier struct {
	mu    sync.Mutex
	lanes map[string]*memoryLane
	holds map[string]time.Time
}

func (f *memoryFrontier) Lane(name string, maxQueue int) (Lane, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lanes[name]
	if l == nil {
		l = &memoryLane{frontier: f, seen: map[string]bool{}, content: map[string]bool{}, counts: Counts{Drops: map[Reason]int{}}}
		f.lanes[name] = l
	}
	l.maxQueue = maxQueue
	return l, nil
}

func (f *memoryFrontier) Hold(host string, until time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hold(host, until)
	return nil
}

func (f *memoryFrontier) hold(host string, until time.Time) {
	if until.After(f.holds[host]) {
		f.holds[host] = until
	}
}

func (f *memoryFrontier) Holds() (map[string]time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.holds), nil
}

func (f *memoryFrontier) Close() error { return nil }

// memoryLane is guarded by its frontier's lock.
type memoryLane struct {
	frontier *memoryFrontier
	maxQueue int
	queue    []Item
	seen     map[string]bool
	content  map[string]bool
	samples  []dataset.Sample
	counts   Counts
}

func (l *memoryLane) Add(items ...Item) error {
	l.frontier.mu.Lock()
	defer l.frontier.mu.Unlock()
	l.add(items)
	return nil
}

func (l *memoryLane) add(items []Item) {
	for _, it := range items {
		switch {
		case l.seen[it.URL]:
		case len(l.queue) >= l.maxQueue:
			l.counts.Overflow++
		default:
			l.seen[it.URL] = true
			l.queue = append(l.queue, it)
		}
	}
}

func (l *memoryLane) Head() (Item, bool, error) {
	l.frontier.mu.Lock()
	defer l.frontier.mu.Unlock()
	if len(l.queue) == 0 {
		return Item{}, false, nil
	}
	return l.queue[0], true, nil
}

func (l *memoryLane) Commit(v Visit) error {
	l.frontier.mu.Lock()
	defer l.frontier.mu.Unlock()
	if len(l.queue) == 0 || l.queue[0] != v.Item {
		return ErrNotHead
	}
	l.queue = l.queue[1:]
	for _, u := range v.Seen {
		l.seen[u] = true
	}
	l.add(v.Links)
	l.counts.Visited++
	if v.Sample != nil {
		l.counts.Kept++
		l.samples = append(l.samples, *v.Sample)
		l.content[v.Sample.ID] = true
	} else {
		l.counts.Drops[v.Reason]++
	}
	l.frontier.hold(v.Host, v.HoldUntil)
	return nil
}

func (l *memoryLane) Counts() (Counts, error) {
	l.frontier.mu.Lock()
	defer l.frontier.mu.Unlock()
	c := l.counts
	c.Drops, c.Queued = maps.Clone(c.Drops), len(l.queue)
	return c, nil
}

func (l *memoryLane) Sample(i int) (dataset.Sample, bool, error) {
	l.frontier.mu.Lock()
	defer l.frontier.mu.Unlock()
	if i >= len(l.samples) {
		return dataset.Sample{}, false, nil
	}
	return l.samples[i], true, nil
}

func (l *memoryLane) HasContent(id string) (bool, error) {
	l.frontier.mu.Lock()
	defer l.frontier.mu.Unlock()
	return l.content[id], nil
}
