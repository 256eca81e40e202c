package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/borea-go/borea/checkpoint/stage"
	"github.com/borea-go/borea/crawl"
	"github.com/borea-go/borea/crawl/localsite"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/dataset/public"
	"github.com/borea-go/borea/qlora"
)

// collectConfig says where samples come from. Sources are asked in order until
// there are TargetSamples.
type collectConfig struct {
	TargetSamples    int      `yaml:"target_samples" json:"target_samples"`
	SyntheticSamples int      `yaml:"synthetic_samples" json:"synthetic_samples"`
	Triple           float64  `yaml:"triple" json:"triple"`
	Sources          []string `yaml:"sources" json:"sources"`
	Seed             uint64   `yaml:"seed" json:"seed"`
	// Files are what wikipedia (train-*.parquet), cc100 (ja.txt.xz) and c4
	// (c4-ja.*.json.gz) read.
	Files map[string][]string `yaml:"files" json:"files,omitempty"`
	Crawl crawlConfig         `yaml:"crawl" json:"crawl"`
}

// crawlConfig chooses sites. Without presets it is the bundled site of our own
// pages, which runs on the loopback interface only while it is crawled.
type crawlConfig struct {
	Presets []string      `yaml:"presets" json:"presets,omitempty"`
	Options crawl.Options `yaml:"options" json:"options"`
}

// sources that the program reads.
func sourceNames() []string { return []string{"synthetic", "crawl", "wikipedia", "cc100", "c4"} }

// ErrSource names a source that this program cannot read.
var ErrSource = errors.New("source cannot be read by this program; it reads " + strings.Join(sourceNames(), ", "))

func (c collectConfig) validate() error {
	if c.TargetSamples < 1 {
		return fmt.Errorf("collect.target_samples = %d, want at least 1", c.TargetSamples)
	}
	for _, s := range c.Sources {
		if !slices.Contains(sourceNames(), s) {
			return fmt.Errorf("collect.sources: %q: %w", s, ErrSource)
		}
		if s != "synthetic" && s != "crawl" && len(c.Files[s]) == 0 {
			return fmt.Errorf("collect.sources: %q needs collect.files.%s, the downloaded files to read", s, s)
		}
	}
	_, err := crawl.PresetSeeds(c.Crawl.Presets...)
	return errors.Join(err, c.Crawl.Options.Validate())
}

// collectReport counts what each source gave.
type collectReport struct {
	Options collectConfig    `json:"options"`
	Samples map[string]int64 `json:"samples"`
	// Unreadable counts records of public files that were passed over.
	Unreadable map[string]int64 `json:"unreadable,omitempty"`
	Crawl      *crawl.Report    `json:"crawl,omitempty"`
}

func (p *pipeline) collect(ctx context.Context, w *stage.Work) error {
	rep := collectReport{Options: p.cfg.Collect, Samples: map[string]int64{}, Unreadable: map[string]int64{}}
	left := p.cfg.Collect.TargetSamples
	for _, source := range p.cfg.Collect.Sources {
		if left <= 0 {
			break
		}
		n, err := p.collectSource(ctx, w, source, left, &rep)
		if err != nil {
			return fmt.Errorf("source %s: %w", source, err)
		}
		rep.Samples[source], left = n, left-int(n)
	}
	return qlora.WriteReport(filepath.Join(w.Dir, "report.json"), rep)
}

func (p *pipeline) collectSource(ctx context.Context, w *stage.Work, source string, limit int, rep *collectReport) (int64, error) {
	path := filepath.Join(w.Dir, source+".jsonl")
	c := p.cfg.Collect
	switch {
	case source == "synthetic":
		o := dataset.DefaultSynthOptions()
		o.Total, o.Seed, o.Triple = min(limit, c.SyntheticSamples), c.Seed, c.Triple
		return writeSamples(path, o.Total, p.watch(source, o.Total, dataset.Synthesize(o)))
	case source != "crawl":
		return writeSamples(path, limit, p.watch(source, limit, publicSamples(ctx, source, c.Files[source], rep.Unreadable)))
	case len(c.Crawl.Presets) == 0:
		return p.crawlLocal(ctx, path, limit, rep)
	}
	return p.crawlPublic(ctx, w, path, limit, rep)
}

func (p *pipeline) crawlLocal(ctx context.Context, path string, limit int, rep *collectReport) (n int64, err error) {
	site, err := localsite.Start(0)
	if err != nil {
		return 0, err
	}
	defer site.Close()
	return p.crawlSites(ctx, path, limit, localsite.Options(), localsite.Seeds(), crawl.Env{Hosts: site.Hosts()}, rep)
}

// crawlPublic keeps its frontier beside the samples, so that a crawl that was
// interrupted asks no page twice.
func (p *pipeline) crawlPublic(ctx context.Context, w *stage.Work, path string, limit int, rep *collectReport) (n int64, err error) {
	seeds, err := crawl.PresetSeeds(p.cfg.Collect.Crawl.Presets...)
	if err != nil {
		return 0, err
	}
	f, err := crawl.OpenFrontier(filepath.Join(w.Dir, ".frontier.db"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return p.crawlSites(ctx, path, limit, p.cfg.Collect.Crawl.Options, seeds, crawl.Env{Frontier: f}, rep)
}

func (p *pipeline) crawlSites(ctx context.Context, path string, limit int, o crawl.Options, seeds []crawl.Seed, env crawl.Env, rep *collectReport) (int64, error) {
	c, err := crawl.New(o, seeds, env)
	if err != nil {
		return 0, err
	}
	n, err := writeSamples(path, limit, p.watch("crawl", limit, c.Samples(ctx)))
	r := c.Report()
	rep.Crawl = &r
	return n, err
}

// publicSamples joins the files of a public corpus. Records that cannot be used
// are counted and passed over.
func publicSamples(ctx context.Context, source string, files []string, unreadable map[string]int64) iter.Seq2[dataset.Sample, error] {
	open := map[string]func(string, public.Options) iter.Seq2[dataset.Sample, error]{
		"wikipedia": public.WikipediaFile, "cc100": public.CC100File, "c4": public.C4File}[source]
	return func(yield func(dataset.Sample, error) bool) {
		for _, path := range files {
			for s, err := range open(path, public.DefaultOptions()) {
				if line := (*dataset.LineError)(nil); errors.As(err, &line) {
					unreadable[source]++
					continue
				}
				if err == nil {
					err = context.Cause(ctx)
				}
				if !yield(s, err) || err != nil {
					return
				}
			}
		}
	}
}
