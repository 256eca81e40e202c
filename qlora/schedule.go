package qlora

import (
	"math"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// learningRate is the rate of step (0-based) of total: linear warm-up, then the
// scheduler's decay to 0. Unlike transformers' warm-up, which spends its first
// step at rate 0, ours starts above it.
func learningRate(o Options, step, total int) float64 {
	warm := o.WarmupSteps
	if warm == 0 {
		warm = int(math.Ceil(o.WarmupRatio * float64(total)))
	}
	if step < warm {
		return o.LearningRate * float64(step+1) / float64(warm+1)
	}
	share := float64(step-warm) / math.Max(1, float64(total-warm))
	switch o.Scheduler {
	case "cosine":
		return o.LearningRate * 0.5 * (1 + math.Cos(math.Pi*share))
	case "linear":
		return o.LearningRate * (1 - share)
	}
	return o.LearningRate
}

// petLambda is the weight of the PET term at a step. Phases end at whole steps,
// shares rounded down as so8t.Schedule does; shares of 1 cover every step.
func petLambda(o PETOptions, step, total int) float64 {
	if !o.Enabled {
		return 0
	}
	end := 0
	for i, share := range o.Phase {
		end += int(share * float64(total))
		if i == 2 && o.Phase[0]+o.Phase[1]+o.Phase[2] > 1-1e-9 {
			end = total
		}
		if step < end {
			return o.Lambda[i]
		}
	}
	return 0
}

// hyper is the device's per-step numbers at optimiser step n, counted from 1.
func (o Options) hyper(lr float64, n int) []float32 {
	h := make([]float32, compute.HyperCount)
	h[compute.HyperLR] = float32(lr)
	h[compute.HyperBias1] = float32(1 - math.Pow(o.Beta1, float64(n)))
	h[compute.HyperBias2] = float32(1 - math.Pow(o.Beta2, float64(n)))
	h[compute.HyperClip] = 1
	return h
}

// randomState is the content of compute.Random's buffer.
func randomState(seed, step uint64) []int32 {
	return []int32{int32(uint32(seed)), int32(uint32(seed >> 32)), int32(uint32(step)), int32(uint32(step >> 32))}
}
