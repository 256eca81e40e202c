// Package arch holds tests of the architecture itself: which package may import
// what, that everything exported is documented, and that no file is named for
// nothing.
//
// What it does not do: it exports nothing.
package arch
