package crawl

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/borea-go/borea/dataset"
)

// ErrRunning means a second iteration while one is under way.
var ErrRunning = errors.New("crawl: this crawler is already running")

// LaneReport is how far a seed got.
type LaneReport struct {
	Seed   Seed   `json:"seed"`
	Counts Counts `json:"counts"`
	// Parked is why the lane stopped early, to go on in a later run: ParkedDelay,
	// ParkedRobots, or empty.
	Parked string `json:"parked,omitempty"`
}

// Report is the state of a crawl: over all lanes, Visited = Kept + the sum of Drops.
type Report struct {
	Lanes []LaneReport `json:"lanes"`
	Total Counts       `json:"total"`
}

// Crawler visits the seeds' sites. Its methods may be called from any goroutine.
type Crawler struct {
	opts  Options
	seeds []Seed
	env   Env

	running sync.Mutex
	mu      sync.Mutex
	report  Report
}

// New returns a crawler for the seeds, each of which becomes a lane. Without
// env.Frontier it keeps its state in memory.
func New(opts Options, seeds []Seed, env Env) (*Crawler, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	for i, s := range seeds {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("crawl: seed %d: %w", i, err)
		}
	}
	return &Crawler{opts: opts, seeds: seeds, env: env.withDefaults()}, nil
}

// Report returns the counts as of the end of the last iteration.
func (c *Crawler) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}

// Samples crawls and yields one sample a page kept: first those that the
// frontier already holds, lane by lane in the order of the seeds. A page that
// gives nothing is counted, not yielded; an error ends the iteration and is the
// frontier's or ctx's. Breaking off stops the crawl, which a later iteration
// over the same frontier continues.
func (c *Crawler) Samples(ctx context.Context) iter.Seq2[dataset.Sample, error] {
	return func(yield func(dataset.Sample, error) bool) {
		if !c.running.TryLock() {
			yield(dataset.Sample{}, ErrRunning)
			return
		}
		defer c.running.Unlock()
		if err := c.crawl(ctx, yield); err != nil {
			yield(dataset.Sample{}, err)
		}
	}
}

func (c *Crawler) crawl(ctx context.Context, yield func(dataset.Sample, error) bool) error {
	holds, err := c.env.Frontier.Holds()
	if err != nil {
		return err
	}
	v := newVisitor(c.opts, c.env, holds)
	defer v.fetch.close()
	runs, err := c.lanes(v)
	if err != nil {
		return err
	}
	laneCtx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, r := range runs {
		wg.Go(func() { r.run(laneCtx) })
	}
	goOn := true
	for _, r := range runs {
		if goOn, err = drain(ctx, r, yield); !goOn || err != nil {
			break
		}
	}
	cancel()
	wg.Wait()
	if reportErr := c.collect(runs); goOn && err == nil {
		return reportErr
	}
	return err
}

func (c *Crawler) lanes(v *visitor) (runs []*laneRun, err error) {
	seen := map[string]bool{}
	for _, s := range c.seeds {
		r, err := newLaneRun(v, s)
		if err != nil {
			return nil, err
		}
		name, err := laneName(s, r.start, r.maxDepth, v)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, &OptionError{"Seed.URL", s.URL, "given twice"}
		}
		seen[name] = true
		runs = append(runs, r)
	}
	return runs, nil
}

// drain yields a lane's samples until it is done. goOn is false where the
// consumer has had enough.
func drain(ctx context.Context, r *laneRun, yield func(dataset.Sample, error) bool) (goOn bool, err error) {
	for i := 0; ; {
		done, _, laneErr := r.state() // before Sample, or the last one could be missed
		s, ok, err := r.lane.Sample(i)
		switch {
		case err != nil:
			return true, err
		case ok:
			if !yield(s, nil) {
				return false, nil
			}
			i++
		case done:
			return true, laneErr
		default:
			select {
			case <-r.more:
			case <-ctx.Done():
				return true, context.Cause(ctx)
			}
		}
	}
}

func (c *Crawler) collect(runs []*laneRun) error {
	out := Report{Total: Counts{Drops: map[Reason]int{}}}
	for _, r := range runs {
		lane, err := r.report()
		if err != nil {
			return err
		}
		out.Lanes = append(out.Lanes, lane)
		out.Total.add(lane.Counts)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report = out
	return nil
}

func (c *Counts) add(o Counts) {
	c.Visited += o.Visited
	c.Kept += o.Kept
	c.Queued += o.Queued
	c.Overflow += o.Overflow
	for r, n := range o.Drops {
		c.Drops[r] += n
	}
}
