// Package stage runs one step of a pipeline so that it can be stopped at any
// moment and is never done twice: its output is a folder that appears whole, by
// one rename, together with a record of what it was made from.
//
//	<dir>/<name>/            published output, with STAGE.json
//	<dir>/.partial-<name>/   work under way; survives a crash and is continued
//	<dir>/.old-<name>/       the output before, for the moment of the exchange
//	<dir>/.lock-<name>       one runner at a time
//
// Before running, the inputs' contents, the options and the version are hashed.
// If the published output was made from the same and its files still match their
// hashes, the stage is skipped. A partial folder of the same key is handed back to
// the stage, which can find its own checkpoints there; one of another key is
// thrown away. Names in the partial folder that start with a dot are scratch (the
// place for checkpoints) and not published.
//
// Publishing syncs and hashes every file, writes STAGE.json, syncs the folders,
// and only then removes scratch and exchanges the folders. Work whose record is
// written is never done again: a later run only finishes the exchange.
//
// Files: stage.go Run; publish.go the exchange; record.go STAGE.json and why a
// stage runs; digest.go hashing; errors.go.
//
// What it does not do: it does not know what a stage computes, nor whether two
// runs of it give the same bytes; it follows no symbolic links below an input; and
// it deletes no output but the one it replaces.
package stage
