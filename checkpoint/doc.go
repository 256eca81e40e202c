// Package checkpoint is a store for the state of long work that loses no
// acknowledged save, whatever stops the program or the machine.
//
// A checkpoint is a folder with the state's files and a MANIFEST:
//
//	LOCK                                   one writer at a time
//	SESSION-<start>                        who opened the store, one a start
//	ckpt-<step>-<start>-<serial>/          12, 6 and 6 digits
//	    MANIFEST                           the commit record
//	    <file> …
//	.tmp-… .old-…                          being written, being removed
//	quarantine-ckpt-…                      found damaged, kept for a look
//
// MANIFEST and SESSION are three lines: kind and layout version, a JSON object,
// and the SHA-256 of both. The manifest names session, step, start, serial, the
// caller's meta, and size and SHA-256 of every file.
//
// A save is written under a temporary name: files first, each synced; MANIFEST
// last, synced; the folder synced; then renamed to its final, never reused name
// and the parent synced. Only then is it acknowledged, and only then are old ones
// removed: renamed away, the parent synced, deleted. What makes a checkpoint valid
// is its manifest, not its name: Latest reads every byte and takes the newest valid
// step, whatever clocks say. Damaged ones are moved to quarantine and reported;
// those of another session or a newer layout are reported and left alone; unknown
// names are not touched.
//
// A store has one writer: an operating system lock that ends with the process.
// Should two ever meet where locks do not work (network file systems), each start
// has a number, and the one with the smaller number saves no more.
//
// After a failed save the earlier checkpoints are as they were, the store goes on,
// and the error says why: ErrFull, ErrReadOnly or what the system gave.
//
// Files: options.go; store.go opening, names.go listing, session.go; save.go the
// protocol, async.go, rotate.go; manifest.go the commit record, verify.go,
// snapshot.go reading; errors.go.
//
// What it does not do: it makes no promise on disks that lie about syncing, and on
// Windows and network file systems integrity is promised but the durability of the
// newest save is not. It does not compress, encrypt or send anything, and it
// installs no signal handlers. It has no lock on Solaris and AIX, so Open fails
// there.
package checkpoint
