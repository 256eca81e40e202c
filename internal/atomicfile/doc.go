// Package atomicfile writes files that are either whole or absent: to a
// temporary name in the same folder, synced, renamed, and the folder synced.
//
// What it does not do: it locks nothing; of two writers of one name the later
// rename wins, whole. On Windows the rename is atomic but not written through.
package atomicfile
