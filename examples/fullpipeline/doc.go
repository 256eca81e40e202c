// Command fullpipeline runs the whole pipeline, from data to a quantised,
// safety-judged model, on the bundled model by default:
//
//	go run ./examples/fullpipeline
//
// Each phase writes a folder below -out and is skipped when its inputs and
// options have not changed; an interrupted one continues where it stopped.
//
// What it does not do: the work itself, which is in the library.
package main
