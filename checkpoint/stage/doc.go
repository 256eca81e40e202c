// Package stage runs one step of a pipeline so that it can be stopped at any
// moment and is never done twice: its output is a folder that appears whole, by
// one rename, together with a record of what it was made from.
//
//	<dir>/<name>/            published output, with STAGE.json
//	<dir>/.partial-<name>/   work under way; survives a crash and is continued
//
// Before running, the inputs' contents, the options and the version are hashed.
// If the published output has the same key and its files still match their
// hashes, the stage is skipped. A partial folder of the same key is handed back to
// the stage, which can find its own checkpoints there; one of another key is
// thrown away.
//
// What it does not do: it does not lock; hold checkpoint.Lock on the folder
// while running stages. It does not know what a stage computes.
package stage
