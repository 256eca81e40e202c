// Package ref is a device that computes everything in float64 with the plainest
// loops: the oracle for other devices and the ground for central differences
// through whole layers. Its buffers refuse host access other than Upload and
// Download, like a GPU's.
//
// What it does not do: it is not fast, quantises nothing (every weight format is
// float64) and implements neither dropout, nor NEFTune, nor 8-bit moments.
package ref
