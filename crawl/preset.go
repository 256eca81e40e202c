package crawl

import (
	"bytes"
	_ "embed" // presets.json
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed presets.json
var presetFile []byte

// Preset is a named list of seeds.
type Preset struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Seeds []Seed `json:"seeds"`
}

// Presets returns the bundled lists of Japanese public sites: 3 links deep, 100
// pages a site, at least the stated delay. They name no licence: the terms of
// use differ by site and page, and reading them is up to who crawls.
func Presets() ([]Preset, error) {
	dec := json.NewDecoder(bytes.NewReader(presetFile))
	dec.DisallowUnknownFields()
	var out []Preset
	if err := dec.Decode(&out); err != nil {
		return nil, fmt.Errorf("crawl: presets.json: %w", err)
	}
	return out, nil
}

// PresetSeeds returns the seeds of the named presets, in that order. An unknown
// name is an *OptionError that lists the known ones.
func PresetSeeds(names ...string) (seeds []Seed, err error) {
	all, err := Presets()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
		if i < 0 {
			var known []string
			for _, p := range all {
				known = append(known, p.Name)
			}
			return nil, &OptionError{"preset", name, fmt.Sprintf("unknown; there are %v", known)}
		}
		seeds = append(seeds, all[i].Seeds...)
	}
	return seeds, nil
}
