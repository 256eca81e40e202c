// Package so8t holds rotation gates: one SO(8) matrix for every block of eight
// columns of a linear's input, R = exp(θ-θᵀ), parametrised by the 28 entries of
// the strict upper triangle of θ, starting at zero, that is at the identity.
//
// A gate computes y = W(Rx). Baking folds it into the weights, W' = W·Q with
// Q = blockdiag(R), after which nothing of the gate remains at run time.
//
// Files: rotation.go θ to R and its derivative, rotate.go the gate on plain
// slices, bake.go W·Q, gates.go a model's gates and their file, pet.go the
// second-difference regulariser that is trained with them.
//
// What it does not do: it trains nothing and reads no model; qlora applies the
// gates while training and merges them. The float64 functions here are the
// oracle for the devices' faster ones.
package so8t
