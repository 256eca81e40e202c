// Package so8t holds rotation gates: one SO(8) matrix for every block of eight
// columns of a linear's input, R = exp(θ-θᵀ), parametrised by the 28 entries of
// the strict upper triangle of θ, starting at zero, that is at the identity.
//
// A gate computes y = W(Rx) on the input of o_proj. Baking folds it into the
// weights, W' = W·Q with Q = blockdiag(R), after which nothing of the gate
// remains at run time. (With y = xR, rows from the left, it would be W·Qᵀ.)
//
// Files: expm.go the 8×8 exponential and its derivative, rotation.go θ to R,
// oracle.go the same by gonum, rotate.go the gate on plain slices, gates.go a
// model's gates and their file, bake.go W·Q, bakedir.go a whole model directory,
// pet.go the second-difference regulariser that is trained with the gates.
//
// What it does not do: it trains nothing and runs no model; qlora applies the
// gates while training and merges them with LoRA updates. The float64 functions
// here are the oracle for the devices' faster ones. Only o_proj is baked, and
// only into F32, F16 and BF16 weights.
package so8t
