package crawl

import (
	"context"
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultOptions(t *testing.T) {
	o := DefaultOptions()
	require.NoError(t, o.Validate())
	require.False(t, o.AllowLoopback)
	require.Equal(t, "borea-crawl", robotsToken(o.UserAgent))
	b, err := json.Marshal(o)
	require.NoError(t, err)
	var back Options
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, o, back)
}

func TestOptionsOutOfRange(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"UserAgent": func(o *Options) { o.UserAgent = "123" }, "UserAgent ": func(o *Options) { o.UserAgent = "a\r\nX: y" },
		"DelaySeconds": func(o *Options) { o.DelaySeconds = -1 }, "DelaySeconds NaN": func(o *Options) { o.DelaySeconds = math.NaN() },
		"MaxWaitSeconds": func(o *Options) { o.MaxWaitSeconds = 0 }, "TimeoutSeconds": func(o *Options) { o.TimeoutSeconds = math.Inf(1) },
		"MaxRatio": func(o *Options) { o.MaxRatio = 0.5 }, "MaxRedirects": func(o *Options) { o.MaxRedirects = 11 }, "MaxAttempts": func(o *Options) { o.MaxAttempts = 0 },
		"MaxPages": func(o *Options) { o.MaxPages = 0 }, "Workers": func(o *Options) { o.Workers = 0 }, "Ports": func(o *Options) { o.Ports = []int{70000} },
		"MaxBodyBytes": func(o *Options) { o.MaxBodyBytes = 0 },
	} {
		o := DefaultOptions()
		change(&o)
		var e *OptionError
		require.ErrorAs(t, o.Validate(), &e, name)
		_, err := New(o, nil, Env{})
		require.Error(t, err, name)
	}
}

func TestSeeds(t *testing.T) {
	for _, s := range []Seed{{}, {URL: "ftp://a/"}, {URL: "http://a/x", PathPrefix: "/y/"}, {URL: "http://a/", MaxDepth: -1}, {URL: "a.test"}} {
		require.Error(t, s.Validate(), s.URL)
	}
	same := Seed{URL: "http://a.test/"}
	c, err := New(DefaultOptions(), []Seed{same, {URL: "HTTP://A.test:80"}}, Env{})
	require.NoError(t, err)
	for _, err := range c.Samples(context.Background()) {
		var e *OptionError
		require.ErrorAs(t, err, &e)
	}
}

func TestPresets(t *testing.T) {
	all, err := Presets()
	require.NoError(t, err)
	names := map[string]bool{}
	hosts := map[string]bool{}
	for _, p := range all {
		require.False(t, names[p.Name], p.Name)
		names[p.Name] = true
		require.NotEmpty(t, p.About)
		require.NotEmpty(t, p.Seeds)
		for _, s := range p.Seeds {
			require.NoError(t, s.Validate())
			require.False(t, hosts[s.URL], s.URL)
			hosts[s.URL] = true
			require.GreaterOrEqual(t, s.DelaySeconds, 1.0)
			require.Equal(t, p.Name, s.Domain)
		}
	}
	seeds, err := PresetSeeds("transport", "defence")
	require.NoError(t, err)
	require.Equal(t, "https://www.mlit.go.jp/", seeds[0].URL)
	require.Equal(t, "defence", seeds[1].Domain)
	_, err = PresetSeeds("moon")
	require.ErrorContains(t, err, "aerospace")
}

func TestNestedIterationIsRefused(t *testing.T) {
	s := newStage(t, linked("", 2))
	c, err := New(s.opts, s.seeds, s.env)
	require.NoError(t, err)
	for _, err := range c.Samples(context.Background()) {
		require.NoError(t, err)
		for _, err := range c.Samples(context.Background()) {
			require.ErrorIs(t, err, ErrRunning)
		}
	}
}
