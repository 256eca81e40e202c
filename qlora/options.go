package qlora

import (
	"math"
	"slices"

	"github.com/borea-go/borea/qlora/internal/phi3"
)

// The fused linears that adapters attach to, by their names in the weights.
const (
	QKVProj    = "qkv_proj"
	OProj      = "o_proj"
	GateUpProj = "gate_up_proj"
	DownProj   = "down_proj"
)

// Targets lists the four linears of a block in order.
func Targets() []string { return []string{QKVProj, OProj, GateUpProj, DownProj} }

// Options is every knob of training. Values are taken literally; start from
// DefaultOptions.
type Options struct {
	// Rank is the LoRA rank r, at least 1 (arXiv 2106.09685).
	Rank int `json:"rank" yaml:"rank"`
	// Alpha scales the update: alpha/r, or alpha/sqrt(r) with RSLoRA (arXiv 2312.03732).
	Alpha  float64 `json:"alpha" yaml:"alpha"`
	RSLoRA bool    `json:"rslora" yaml:"rslora"`
	// Dropout on the adapters' input, 0 to below 1.
	Dropout float64 `json:"dropout" yaml:"dropout"`
	// Targets are the linears that get an adapter: names of Targets, or q_proj,
	// k_proj, v_proj, gate_proj, up_proj, which stand for the fused one they lie in.
	Targets []string `json:"targets" yaml:"targets"`
	// LoRAPlus multiplies the learning rate of B (arXiv 2402.12354); 1 is plain LoRA.
	LoRAPlus float64 `json:"lora_plus" yaml:"lora_plus"`
	// NEFTune is the embedding noise alpha (arXiv 2310.05914); 0 is none.
	NEFTune float64 `json:"neftune" yaml:"neftune"`

	LearningRate float64 `json:"learning_rate" yaml:"learning_rate"`
	// Scheduler is "cosine", "linear" (both to 0) or "constant", after the warm-up.
	Scheduler string `json:"scheduler" yaml:"scheduler"`
	// WarmupSteps of linear warm-up; when 0, WarmupRatio of all steps.
	WarmupSteps int     `json:"warmup_steps" yaml:"warmup_steps"`
	WarmupRatio float64 `json:"warmup_ratio" yaml:"warmup_ratio"`
	// Optimizer is "adamw8bit" (block-wise moments) or "adamw".
	Optimizer   string  `json:"optimizer" yaml:"optimizer"`
	WeightDecay float64 `json:"weight_decay" yaml:"weight_decay"`
	Beta1       float64 `json:"beta1" yaml:"beta1"`
	Beta2       float64 `json:"beta2" yaml:"beta2"`
	Epsilon     float64 `json:"epsilon" yaml:"epsilon"`
	// ClipNorm bounds the global gradient norm; 0 is off.
	ClipNorm float64 `json:"clip_norm" yaml:"clip_norm"`

	// Epochs over the data, unless MaxSteps > 0 ends earlier.
	Epochs   int `json:"epochs" yaml:"epochs"`
	MaxSteps int `json:"max_steps" yaml:"max_steps"`
	// BatchSize is sequences of MaxLength tokens on a device at once; a step sums
	// Accumulation of them, dealt out to the devices where there are several.
	BatchSize    int `json:"batch_size" yaml:"batch_size"`
	Accumulation int `json:"accumulation" yaml:"accumulation"`
	// MaxLength in tokens; longer examples are cut and counted.
	MaxLength int `json:"max_length" yaml:"max_length"`
	// Packing fills a batch with as many whole examples as fit, instead of
	// BatchSize examples. Documents never see each other either way.
	Packing bool `json:"packing" yaml:"packing"`
	// Recompute is what the backward pass computes again instead of keeping it:
	// "none", "selective" (norms, gates and SwiGLU: cheap, and a third of the
	// activations) or "full" (each block, but for its last product). All give the
	// same bits.
	Recompute string `json:"recompute" yaml:"recompute"`

	// EvalEvery and LogEvery count steps; EvalEvery 0 evaluates at the end only.
	EvalEvery int `json:"eval_every" yaml:"eval_every"`
	LogEvery  int `json:"log_every" yaml:"log_every"`
	// SaveSeconds and SaveSteps say when to checkpoint; 0 turns one off. A
	// checkpoint is always written at the end and on cancellation.
	SaveSeconds float64 `json:"save_seconds" yaml:"save_seconds"`
	SaveSteps   int     `json:"save_steps" yaml:"save_steps"`
	// KeepCheckpoints is how many are kept, at least 1.
	KeepCheckpoints int    `json:"keep_checkpoints" yaml:"keep_checkpoints"`
	Seed            uint64 `json:"seed" yaml:"seed"`

	SO8T SO8TOptions `json:"so8t" yaml:"so8t"`
	PET  PETOptions  `json:"pet" yaml:"pet"`
}

// SO8TOptions adds rotation gates on the input of every o_proj.
type SO8TOptions struct {
	Enabled bool `json:"enabled" yaml:"enabled"`
	// LRScale multiplies the learning rate of the angles.
	LRScale float64 `json:"lr_scale" yaml:"lr_scale"`
}

// PETOptions adds the second-difference penalty on the final hidden state.
type PETOptions struct {
	Enabled bool `json:"enabled" yaml:"enabled"`
	// Lambda is the weight in each of three phases, which last Phase shares of
	// the steps; the remaining steps go without.
	Lambda [3]float64 `json:"lambda" yaml:"lambda"`
	Phase  [3]float64 `json:"phase" yaml:"phase"`
	// Huber is the threshold δ of the Huber form; 0 squares.
	Huber float64 `json:"huber" yaml:"huber"`
}

// DefaultOptions are the values of the original's fine-tuning configuration.
func DefaultOptions() Options {
	return Options{
		Rank: 64, Alpha: 128, Dropout: 0.05, Targets: Targets(), LoRAPlus: 1,
		LearningRate: 2e-4, Scheduler: "cosine", WarmupRatio: 0.1,
		Optimizer: "adamw8bit", WeightDecay: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, ClipNorm: 1,
		Epochs: 3, BatchSize: 1, Accumulation: 16, MaxLength: 2048, Packing: true, Recompute: "full",
		EvalEvery: 500, LogEvery: 10, SaveSeconds: 300, SaveSteps: 0, KeepCheckpoints: 10, Seed: 42,
		SO8T: SO8TOptions{LRScale: 1},
		PET:  PETOptions{Lambda: [3]float64{0.01, 0.05, 0.1}, Phase: [3]float64{0.2, 0.4, 0.4}},
	}
}

// fusedTarget maps every accepted target name to the fused linear.
func fusedTarget(name string) (string, bool) {
	switch name {
	case QKVProj, "q_proj", "k_proj", "v_proj":
		return QKVProj, true
	case GateUpProj, "gate_proj", "up_proj":
		return GateUpProj, true
	case OProj, DownProj:
		return name, true
	}
	return "", false
}

// rangeCheck is one option and whether its value is acceptable.
type rangeCheck struct {
	name  string
	value any
	ok    bool
	want  string
}

// Validate reports the first option outside its range.
func (o Options) Validate() error {
	for _, t := range o.Targets {
		if _, ok := fusedTarget(t); !ok {
			return &OptionError{"targets", t, "qkv_proj, o_proj, gate_up_proj, down_proj, q_proj, k_proj, v_proj, gate_proj or up_proj"}
		}
	}
	for _, c := range slices.Concat(o.adapterChecks(), o.optimizerChecks(), o.loopChecks()) {
		if !c.ok {
			return &OptionError{c.name, c.value, c.want}
		}
	}
	return nil
}

func (o Options) adapterChecks() []rangeCheck {
	return []rangeCheck{
		{"rank", o.Rank, o.Rank >= 1, "at least 1"},
		{"alpha", o.Alpha, positive(o.Alpha), "above 0"},
		{"dropout", o.Dropout, o.Dropout >= 0 && o.Dropout < 1, "0 to below 1"},
		{"targets", o.Targets, len(o.Targets) > 0, "at least one linear"},
		{"lora_plus", o.LoRAPlus, positive(o.LoRAPlus), "above 0"},
		{"neftune", o.NEFTune, notNegative(o.NEFTune), "at least 0"},
		{"so8t.lr_scale", o.SO8T.LRScale, notNegative(o.SO8T.LRScale), "at least 0"},
		{"pet.huber", o.PET.Huber, notNegative(o.PET.Huber), "at least 0"},
		{"pet.lambda", o.PET.Lambda, all(o.PET.Lambda, notNegative), "at least 0 each"},
		{"pet.phase", o.PET.Phase, all(o.PET.Phase, notNegative) && o.PET.sharesFit(), "shares of at least 0 that sum to at most 1"},
	}
}

func (o Options) optimizerChecks() []rangeCheck {
	return []rangeCheck{
		{"learning_rate", o.LearningRate, notNegative(o.LearningRate), "at least 0"},
		{"scheduler", o.Scheduler, slices.Contains([]string{"cosine", "linear", "constant"}, o.Scheduler), "cosine, linear or constant"},
		{"warmup_steps", o.WarmupSteps, o.WarmupSteps >= 0, "at least 0"},
		{"warmup_ratio", o.WarmupRatio, o.WarmupRatio >= 0 && o.WarmupRatio <= 1, "0 to 1"},
		{"optimizer", o.Optimizer, o.Optimizer == "adamw8bit" || o.Optimizer == "adamw", "adamw8bit or adamw"},
		{"weight_decay", o.WeightDecay, notNegative(o.WeightDecay), "at least 0"},
		{"beta1", o.Beta1, o.Beta1 >= 0 && o.Beta1 < 1, "0 to below 1"},
		{"beta2", o.Beta2, o.Beta2 >= 0 && o.Beta2 < 1, "0 to below 1"},
		{"epsilon", o.Epsilon, positive(o.Epsilon), "above 0"},
		{"clip_norm", o.ClipNorm, notNegative(o.ClipNorm), "at least 0"},
	}
}

func (o Options) loopChecks() []rangeCheck {
	return []rangeCheck{
		{"epochs", o.Epochs, o.Epochs >= 1, "at least 1"},
		{"max_steps", o.MaxSteps, o.MaxSteps >= 0, "at least 0"},
		{"batch_size", o.BatchSize, o.BatchSize >= 1, "at least 1"},
		{"accumulation", o.Accumulation, o.Accumulation >= 1, "at least 1"},
		{"max_length", o.MaxLength, o.MaxLength >= 2, "at least 2"},
		{"recompute", o.Recompute, knownMode(o.Recompute), "none, selective or full"},
		{"eval_every", o.EvalEvery, o.EvalEvery >= 0, "at least 0"},
		{"log_every", o.LogEvery, o.LogEvery >= 0, "at least 0"},
		{"save_seconds", o.SaveSeconds, notNegative(o.SaveSeconds), "at least 0"},
		{"save_steps", o.SaveSteps, o.SaveSteps >= 0, "at least 0"},
		{"keep_checkpoints", o.KeepCheckpoints, o.KeepCheckpoints >= 1, "at least 1"},
	}
}

var modes = map[string]phi3.Mode{"none": phi3.Train, "selective": phi3.TrainSelective, "full": phi3.TrainRecompute}

func knownMode(recompute string) bool { _, ok := modes[recompute]; return ok }

func all(v [3]float64, ok func(float64) bool) bool { return ok(v[0]) && ok(v[1]) && ok(v[2]) }

// sharesFit allows for the rounding of decimal fractions.
func (o PETOptions) sharesFit() bool { return o.Phase[0]+o.Phase[1]+o.Phase[2] < 1+1e-9 }

func positive(v float64) bool    { return v > 0 && !math.IsInf(v, 0) }
func notNegative(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
