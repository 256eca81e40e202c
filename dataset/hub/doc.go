// Package hub downloads single files from a Hugging Face style hub and keeps
// them in the layout that other tools share (blobs, snapshots, refs), so that
// what they have already fetched is used and what this package fetches is
// theirs too.
//
// A file is asked for at a commit (40 hexadecimal digits), so that equal options
// give equal bytes; Client.Resolve turns a branch into one. Downloads are
// continued with Range and If-Range after a failure or a kill, verified by
// SHA-256 (large files) or by git's blob hash (small ones) before they appear
// under their name, and never overwrite anything. Offline, only the cache is
// read.
//
// The access token is given in Env and is sent to the endpoint's own host only.
//
// What it does not do: list repositories or files, upload, download whole
// snapshots or in parallel, speak the Xet chunk protocol (the hub serves the
// same files by plain HTTP), delete from the cache, or trust a file whose hash
// the hub does not state.
package hub
