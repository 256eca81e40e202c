package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/split"
)

// request is a labelled request, or the name of a feature vector.
type request struct {
	id, text            string
	class               label.Class
	domain, kind, group string
	source              string
	heldOut             bool // from the rules; of the bundled requests only
}

// requests is what is learnt from or judged.
type requests struct {
	items   []request
	vectors *classifier.Vectors // of -features; nil for texts
	hash    string              // of the file
}

// errNoRequests means a file without a single request.
var errNoRequests = errors.New("no requests")

// readRequests reads -features, -data, or else the bundled hand-labelled requests.
func readRequests(data, features string) (requests, error) {
	switch {
	case data != "" && features != "":
		return requests{}, errors.New("-data and -features exclude each other")
	case features != "":
		return readFeatures(features)
	case data != "":
		return readSamples(data)
	}
	return readGold()
}

func readGold() (requests, error) {
	gold, err := label.Gold()
	if err != nil {
		return requests{}, err
	}
	r, h := requests{}, sha256.New()
	for _, g := range gold {
		fmt.Fprintf(h, "%+v\n", g)
		r.items = append(r.items, request{g.ID, g.Text, g.Label, g.Domain, g.Kind, g.Group(), g.Source, g.HeldOut})
	}
	r.hash = hex.EncodeToString(h.Sum(nil))
	return r, nil
}

// readSamples reads JSON Lines; a sample without a class, and every unreadable line, is
// an error. Samples of one template stay together.
func readSamples(path string) (requests, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return requests{}, err
	}
	sum := sha256.Sum256(b)
	r := requests{hash: hex.EncodeToString(sum[:])}
	for s, err := range dataset.ReadFile(path, dataset.DefaultReadOptions()) {
		if err != nil {
			return r, err
		}
		if s.ID == "" {
			s.ID = s.ContentID()
		}
		if !s.Label.Valid() {
			return r, fmt.Errorf("%s: sample %s: %w", path, s.ID, classifier.ErrNoClass)
		}
		r.items = append(r.items, request{id: s.ID, text: s.Request(), class: s.Label, domain: s.Domain, group: s.TemplateID, source: s.LabelSource})
	}
	if len(r.items) == 0 {
		return r, fmt.Errorf("%s: %w", path, errNoRequests)
	}
	return r, nil
}

// readFeatures reads vectors: lines of a class and numbers.
func readFeatures(path string) (requests, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return requests{}, err
	}
	vectors, examples, err := classifier.ReadVectors(bytes.NewReader(b))
	if err != nil {
		return requests{}, fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(b)
	r := requests{vectors: vectors, hash: hex.EncodeToString(sum[:])}
	for _, ex := range examples {
		r.items = append(r.items, request{id: ex.Text, text: ex.Text, class: ex.Class})
	}
	return r, nil
}

// deal splits by class; requests of one group, and texts that are nearly equal, stay
// together.
func deal(items []request, parts []split.Part, seed uint64) ([][]request, split.Report, error) {
	near, err := split.NearDuplicates(len(items), func(i int) string { return items[i].text }, split.DefaultNearOptions())
	if err != nil {
		return nil, split.Report{}, err
	}
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	o := split.DefaultOptions()
	o.Parts, o.Seed = parts, seed
	keys := split.Keys[int]{
		ID:     func(i int) string { return items[i].text },
		Class:  func(i int) string { return items[i].class.String() },
		Groups: func(i int) []string { return []string{items[i].group, fmt.Sprint("near-duplicates of ", near[i])} },
	}
	res, err := split.Stratified(order, keys, o)
	if err != nil {
		return nil, split.Report{}, err
	}
	out := make([][]request, len(parts))
	for p := range parts {
		for _, i := range split.Take(order, res, p) {
			out[p] = append(out[p], items[i])
		}
	}
	return out, res.Report, nil
}

func examples(items []request) []classifier.Example {
	out := make([]classifier.Example, len(items))
	for i, r := range items {
		out[i] = classifier.Example{Text: r.text, Class: r.class}
	}
	return out
}

func texts(items []request) []string {
	out := make([]string, len(items))
	for i, r := range items {
		out[i] = r.text
	}
	return out
}
