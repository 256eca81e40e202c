package qlora

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/borea-go/borea/checkpoint/safetensors"
	"github.com/borea-go/borea/internal/hfconfig"
	"github.com/borea-go/borea/qlora/internal/compute"
	"github.com/borea-go/borea/qlora/internal/compute/open"
	"github.com/borea-go/borea/qlora/internal/phi3"
)

// QuantReport tells what a weight format costs each linear of a model.
type QuantReport struct {
	Weights  string        `json:"weights"` // the format, compared with bf16
	Smoothed bool          `json:"smoothed"`
	Hadamard bool          `json:"hadamard"`
	Tokens   int           `json:"tokens"`
	Linears  []LinearError `json:"linears"`
}

// LinearError is the error of one linear on the inputs that bf16 weights give it,
// and what makes int8 activations hard there: channels much larger than the rest.
type LinearError struct {
	Layer int    `json:"layer"`
	Name  string `json:"name"`
	// Error is |y - y'| / |y| over all tokens, 2-norms; Worst that of the worst token.
	Error float64 `json:"error"`
	Worst float64 `json:"worst"`
	// Crest is the mean over tokens of absmax/rms of the input: the larger, the
	// fewer digits an ordinary value keeps.
	Crest float64 `json:"crest"`
	// Outliers are the channels whose rms is at least OutlierRatio times that of
	// the median channel, the largest first, at most eight of them; Count is how
	// many there are.
	Outliers []OutlierChannel `json:"outliers"`
	Count    int              `json:"count"`
	// Ruled is the share of tokens whose int8 scale an outlier channel sets.
	Ruled float64 `json:"ruled"`
}

// OutlierChannel is one large input channel.
type OutlierChannel struct {
	Channel int     `json:"channel"`
	Ratio   float64 `json:"ratio"`  // rms over the median channel's
	AbsMax  float64 `json:"absmax"` // largest magnitude
}

// OutlierRatio is from which multiple of the median channel's rms a channel counts
// as an outlier.
const OutlierRatio = 6

const namedOutliers = 8

// Quantisation compares the linears of the model in fsys by opts.Weights, evened as
// opts.Smoothing and opts.Hadamard say, with the same by bf16 weights, on as many of
// seqs as fit in opts.BlockTokens. One block's weights at a time are in memory.
func Quantisation(ctx context.Context, fsys fs.FS, opts LoadOptions, seqs [][]int32, env Env) (*QuantReport, error) {
	v, err := openSurvey(fsys, opts, env)
	if err != nil {
		return nil, err
	}
	defer v.close()
	r := &QuantReport{Weights: opts.Weights, Smoothed: opts.Smoothing != "", Hadamard: opts.Hadamard}
	r.Tokens, err = v.run(ctx, seqs, func(p phi3.Probe) error {
		r.Linears = append(r.Linears, measure(p))
		return nil
	})
	return r, err
}

// surveyor is what a survey of a model's linears needs: Model without weights.
type surveyor struct {
	*Model
	src *safetensors.Model
}

func openSurvey(fsys fs.FS, opts LoadOptions, env Env) (*surveyor, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	cfg, err := hfconfig.Read(fsys)
	if err != nil {
		return nil, err
	}
	src, err := safetensors.OpenModel(fsys)
	if err != nil {
		return nil, err
	}
	v := &surveyor{Model: &Model{cfg: cfg, opts: opts, env: env}, src: src}
	if v.fingerprint, err = weightsFingerprint(cfg, src); err == nil {
		err = v.smooth()
	}
	if err == nil {
		v.dev, err = open.Open(open.Split(opts.Device)[0])
	}
	if err != nil {
		return nil, joinClose(err, src.Close())
	}
	return v, nil
}

func (v *surveyor) close() {
	v.src.Close()
	v.dev.Close()
}

// run returns how many tokens were used.
func (v *surveyor) run(ctx context.Context, seqs [][]int32, use func(phi3.Probe) error) (int, error) {
	b := &phi3.Batch{}
	for _, ids := range seqs {
		if len(ids) > 0 && b.Len()+len(ids) <= v.opts.BlockTokens && len(ids) <= v.cfg.MaxPosition {
			b.Add(ids, nil)
		}
	}
	if b.Len() == 0 {
		return 0, fmt.Errorf("qlora: none of %d sequences fits in block_tokens = %d", len(seqs), v.opts.BlockTokens)
	}
	ref := phi3.Formats{Linear: compute.FormatBF16, Embed: formats[v.opts.Embeddings]}
	return b.Len(), phi3.Survey(ctx, v.dev, v.cfg, v.src, ref, formats[v.opts.Weights], v.evened(), b, func(p phi3.Probe) error {
		v.env.progress(Progress{Stage: "survey", Done: p.Layer + 1, Total: v.cfg.Layers})
		return use(p)
	})
}

// channel is the size of one input channel over all tokens.
type channel struct{ rms, absmax float64 }

func channels(x []float32, cols int) []channel {
	out := make([]channel, cols)
	for i, v := range x {
		c, a := &out[i%cols], math.Abs(float64(v))
		c.rms, c.absmax = c.rms+a*a, max(c.absmax, a)
	}
	for i := range out {
		out[i].rms = math.Sqrt(out[i].rms / float64(len(x)/cols))
	}
	return out
}

func measure(p phi3.Probe) LinearError {
	e := LinearError{Layer: p.Layer, Name: p.Name}
	e.Error, e.Worst = differences(p)
	ch := channels(p.X, p.In)
	rms := make([]float64, len(ch))
	for i, c := range ch {
		rms[i] = c.rms
	}
	limit := OutlierRatio * median(rms)
	for i, c := range ch {
		if c.rms >= limit && limit > 0 {
			e.Outliers = append(e.Outliers, OutlierChannel{i, OutlierRatio * c.rms / limit, c.absmax})
		}
	}
	slices.SortStableFunc(e.Outliers, func(a, b OutlierChannel) int { return cmp.Compare(b.Ratio, a.Ratio) })
	e.Count, e.Outliers = len(e.Outliers), e.Outliers[:min(namedOutliers, len(e.Outliers))]
	e.Crest, e.Ruled = rule(p, rms, limit)
	return e
}

// differences returns the relative error of all outputs and of the worst token.
func differences(p phi3.Probe) (all, worst float64) {
	var diff, norm float64
	for at := 0; at < len(p.Want); at += p.Out {
		var d, n float64
		for i, w := range p.Want[at : at+p.Out] {
			x := float64(p.Got[at+i]) - float64(w)
			d, n = d+x*x, n+float64(w)*float64(w)
		}
		diff, norm = diff+d, norm+n
		worst = max(worst, math.Sqrt(d/max(n, math.SmallestNonzeroFloat64)))
	}
	return math.Sqrt(diff / max(norm, math.SmallestNonzeroFloat64)), worst
}

// rule returns the mean of absmax/rms over tokens, and the share of tokens whose
// largest value lies in a channel of at least limit.
func rule(p phi3.Probe, rms []float64, limit float64) (crest, share float64) {
	tokens := float64(len(p.X) / p.In)
	for at := 0; at < len(p.X); at += p.In {
		var sum, most float64
		top := 0
		for i, v := range p.X[at : at+p.In] {
			a := math.Abs(float64(v))
			sum += a * a
			if a > most {
				most, top = a, i
			}
		}
		if most > 0 {
			crest += most / math.Sqrt(sum/float64(p.In)) / tokens
		}
		if limit > 0 && rms[top] >= limit {
			share += 1 / tokens
		}
	}
	return crest, share
}

// Mean returns the mean error over the linears whose name ends in target, or over
// all for "".
func (r *QuantReport) Mean(target string) float64 {
	sum, n := 0.0, 0
	for _, l := range r.Linears {
		if target == "" || l.Name == LinearName(l.Layer, target) {
			sum, n = sum+l.Error, n+1
		}
	}
	return sum / math.Max(1, float64(n))
}

// WriteTable writes a line a linear, and the means.
func (r *QuantReport) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "linear\terror\tworst token\tabsmax/rms\toutlier channels\ttokens they rule\n")
	for _, l := range r.Linears {
		fmt.Fprintf(t, "%s\t%.2f %%\t%.2f %%\t%.1f\t%d\t%.0f %%\n", l.Name, 100*l.Error, 100*l.Worst, l.Crest, l.Count, 100*l.Ruled)
	}
	for _, target := range Targets() {
		fmt.Fprintf(t, "mean of %s\t%.2f %%\t\t\t\t\n", target, 100*r.Mean(target))
	}
	return t.Flush()
}
