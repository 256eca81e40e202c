package qlora

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireOption demands an *OptionError about the option.
func requireOption(t *testing.T, err error, name string) {
	t.Helper()
	var option *OptionError
	require.ErrorAs(t, err, &option, name)
	require.Equal(t, name, option.Name)
	require.NotEmpty(t, option.Want)
	require.ErrorContains(t, err, name)
}

func TestOptionsValidate(t *testing.T) {
	require.NoError(t, DefaultOptions().Validate())
	nan, inf := math.NaN(), math.Inf(1)
	for name, changes := range map[string][]func(*Options){
		"rank":             {func(o *Options) { o.Rank = 0 }},
		"alpha":            {func(o *Options) { o.Alpha = 0 }, func(o *Options) { o.Alpha = inf }, func(o *Options) { o.Alpha = nan }},
		"dropout":          {func(o *Options) { o.Dropout = 1 }, func(o *Options) { o.Dropout = -0.1 }, func(o *Options) { o.Dropout = nan }},
		"targets":          {func(o *Options) { o.Targets = nil }, func(o *Options) { o.Targets = []string{"lm_head"} }},
		"lora_plus":        {func(o *Options) { o.LoRAPlus = 0 }, func(o *Options) { o.LoRAPlus = nan }},
		"neftune":          {func(o *Options) { o.NEFTune = -1 }, func(o *Options) { o.NEFTune = nan }},
		"so8t.lr_scale":    {func(o *Options) { o.SO8T.LRScale = -1 }},
		"pet.huber":        {func(o *Options) { o.PET.Huber = -1 }, func(o *Options) { o.PET.Huber = inf }},
		"pet.lambda":       {func(o *Options) { o.PET.Lambda[2] = -1 }, func(o *Options) { o.PET.Lambda[0] = nan }},
		"pet.phase":        {func(o *Options) { o.PET.Phase[1] = -0.1 }, func(o *Options) { o.PET.Phase[1] = 0.5 }, func(o *Options) { o.PET.Phase[0] = nan }},
		"learning_rate":    {func(o *Options) { o.LearningRate = -1 }, func(o *Options) { o.LearningRate = inf }, func(o *Options) { o.LearningRate = nan }},
		"scheduler":        {func(o *Options) { o.Scheduler = "Cosine" }, func(o *Options) { o.Scheduler = "" }},
		"warmup_steps":     {func(o *Options) { o.WarmupSteps = -1 }},
		"warmup_ratio":     {func(o *Options) { o.WarmupRatio = 1.5 }, func(o *Options) { o.WarmupRatio = nan }},
		"optimizer":        {func(o *Options) { o.Optimizer = "sgd" }},
		"weight_decay":     {func(o *Options) { o.WeightDecay = -1 }, func(o *Options) { o.WeightDecay = nan }},
		"beta1":            {func(o *Options) { o.Beta1 = 1 }, func(o *Options) { o.Beta1 = nan }},
		"beta2":            {func(o *Options) { o.Beta2 = 1 }, func(o *Options) { o.Beta2 = -0.5 }},
		"epsilon":          {func(o *Options) { o.Epsilon = 0 }},
		"clip_norm":        {func(o *Options) { o.ClipNorm = -1 }, func(o *Options) { o.ClipNorm = nan }},
		"epochs":           {func(o *Options) { o.Epochs = 0 }},
		"max_steps":        {func(o *Options) { o.MaxSteps = -1 }},
		"batch_size":       {func(o *Options) { o.BatchSize = 0 }},
		"accumulation":     {func(o *Options) { o.Accumulation = 0 }},
		"max_length":       {func(o *Options) { o.MaxLength = 1 }},
		"recompute":        {func(o *Options) { o.Recompute = "some" }},
		"eval_every":       {func(o *Options) { o.EvalEvery = -1 }},
		"log_every":        {func(o *Options) { o.LogEvery = -1 }},
		"save_seconds":     {func(o *Options) { o.SaveSeconds = -1 }, func(o *Options) { o.SaveSeconds = nan }},
		"save_steps":       {func(o *Options) { o.SaveSteps = -1 }},
		"keep_checkpoints": {func(o *Options) { o.KeepCheckpoints = 0 }},
	} {
		for _, change := range changes {
			o := DefaultOptions()
			change(&o)
			requireOption(t, o.Validate(), name)
		}
	}
}

func TestOptionsSurviveJSON(t *testing.T) {
	b, err := json.Marshal(DefaultOptions())
	require.NoError(t, err)
	var o Options
	require.NoError(t, json.Unmarshal(b, &o))
	require.Equal(t, DefaultOptions(), o)
}

func TestLoadOptionsValidate(t *testing.T) {
	require.NoError(t, DefaultLoadOptions().Validate())
	for name, change := range map[string]func(*LoadOptions){
		"weights":       func(o *LoadOptions) { o.Weights = "int4" },
		"embeddings":    func(o *LoadOptions) { o.Embeddings = "nf4" },
		"kv_cache":      func(o *LoadOptions) { o.KVCache = "int4" },
		"block_tokens":  func(o *LoadOptions) { o.BlockTokens = 0 },
		"device_memory": func(o *LoadOptions) { o.DeviceMemory = 1 << 30 },
	} {
		o := DefaultLoadOptions()
		change(&o)
		requireOption(t, o.Validate(), name)
	}
	for _, cache := range []string{"full", "f16", "int8"} {
		o := DefaultLoadOptions()
		o.KVCache = cache
		require.NoError(t, o.Validate())
		o.Device = "cpu:go"
		require.NoError(t, o.Validate())
		o.Device = "cuda:1"
		require.Equal(t, cache == "full", o.Validate() == nil)
	}
}
