// Package atomicfile writes files that are either whole or absent: to a
// temporary name in the same folder, synced, renamed, and the folder synced.
//
// What it does not do: it locks nothing; of two writers of one name the later
// rename wins, whole. A killed process leaves its temporary file, whose name starts
// with a dot. A symbolic link is replaced, not followed. On Windows the rename is
// atomic, and durable as far as the file system flushes folders.
package atomicfile
