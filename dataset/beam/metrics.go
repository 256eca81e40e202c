package beam

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/borea-go/borea/dataset"
)

// Namespace of the metrics; see the package comment for their names.
const Namespace = "borea/dataset"

// Names of counters. Drops are counted under DroppedCounter of their reason.
const (
	InCounter    = "in"    // samples and unreadable lines
	KeptCounter  = "kept"  // samples that passed Filter
	SplitCounter = "split" // pieces made of over-long texts, beyond the first of each
	CutCounter   = "cut"   // texts that lost their end
)

// RunesDistribution is the name of the lengths, in characters, of what was kept.
const RunesDistribution = "runes"

// DroppedCounter is the name of the counter of one reason.
func DroppedCounter(why dataset.Reason) string { return "dropped/" + string(why) }

func count(ctx context.Context, name string, n int64) {
	if n != 0 {
		beam.NewCounter(Namespace, name).Inc(ctx, n)
	}
}

func countDrop(ctx context.Context, why dataset.Reason) { count(ctx, DroppedCounter(why), 1) }
