// Package checkpoint is a store for the state of long work that loses no
// acknowledged save, whatever stops the program or the machine.
//
// A save is a folder with the state's files and a MANIFEST:
//
//	ckpt-<step, 12 digits>-<serial, 8 digits>/
//	    MANIFEST            JSON: schema, session, step, serial, meta and the
//	                        size and SHA-256 of every file; then a line with
//	                        the SHA-256 of the JSON
//	    <file> …
//
// It is written under a temporary name: files, each synced; MANIFEST last,
// synced; the folder synced; renamed to its final, never reused name; the parent
// synced. Only then is the save acknowledged and are old ones removed. What makes
// a checkpoint valid is its manifest, not its name: Latest verifies every byte and
// takes the newest valid step, whatever clocks say, and moves damaged ones aside.
//
// A store has one writer: an operating system lock, which kill -9 releases.
//
// Files: store.go opening and listing, save.go the protocol, manifest.go the
// commit record, snapshot.go reading, session.go, lock_*.go.
//
// What it does not do: it makes no promise on disks that lie about syncing, and
// on Windows and network file systems only integrity is promised, not the
// durability of the newest save. It installs no signal handlers.
package checkpoint
