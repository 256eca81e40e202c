// Package rewrite changes the matrices of a safetensors file row by row, on all
// processors. What it writes does not depend on how many there are.
//
// What it does not do: it opens no file, and knows no type but F32, F16 and BF16.
package rewrite
