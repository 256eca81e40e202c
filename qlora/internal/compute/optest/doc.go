// Package optest is one table of cases that every compute device must pass. A
// case runs operations on a device from seeded inputs and yields named outputs;
// Run compares them with those of the float64 device of package ref, whose
// backward operations this package's own tests hold against central differences.
// What ref lacks (dropout, NEFTune, int8 codes, 8-bit moments) is computed here
// in float64 from its definition.
//
// What it does not do: it measures no time, and it proves no bit equality except
// through Same, which compares two devices.
package optest
