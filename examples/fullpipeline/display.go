package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/borea-go/borea/checkpoint/stage"
)

// display shows progress: a bar on a terminal, a line every tenth otherwise.
type display struct {
	w        *os.File
	terminal bool
	bar      *progressbar.ProgressBar
	name     string
	what     string
	tenth    int
}

func newDisplay(w *os.File) *display { return &display{w: w, terminal: term.IsTerminal(int(w.Fd()))} }

// logger writes warnings, such as of a damaged checkpoint, beside the progress.
func (d *display) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(d.w, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (d *display) phase(name string) {
	d.name, d.what, d.tenth = name, "", -1
	fmt.Fprintf(d.w, "%s …\n", name)
}

// show reports done of total steps of something.
func (d *display) show(what string, done, total int) {
	if total <= 0 {
		return
	}
	if what != d.what {
		d.end()
		d.what, d.tenth = what, -1
	}
	if d.terminal {
		if d.bar == nil {
			d.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(d.w),
				progressbar.OptionSetDescription("  "+what), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		}
		d.bar.Set(done)
		return
	}
	if t := 10 * done / total; t > d.tenth {
		d.tenth = t
		fmt.Fprintf(d.w, "  %s: %d of %d\n", what, done, total)
	}
}

// end removes the bar.
func (d *display) end() {
	if d.bar != nil {
		d.bar.Finish()
		d.bar = nil
	}
}

func (d *display) finished(r stage.Result, took time.Duration) {
	if r.Skipped {
		fmt.Fprintf(d.w, "%s skipped: %s\n", r.Name, r.Reason)
		return
	}
	fmt.Fprintf(d.w, "%s done in %.1f s\n", r.Name, took.Seconds())
}
