// Package open chooses compute devices by their names.
//
// What it does not do: it does not look for hardware by itself; a device that is
// not built in is an error that names those that are.
package open
