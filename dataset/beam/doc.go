// Package beam puts the record-by-record rules of dataset, label and split into
// transforms of Apache Beam, for collections that one machine cannot clean in time: the
// same functions on Flink, Spark, Dataflow or Beam's local runner, with the same samples
// kept.
//
//	Read, Parse    JSON Lines (plain, .gz, .zst) or a PCollection<string> to Records
//	Clean          Dedup, then Filter: what dataset.Clean keeps
//	NearDuplicates edges whose Components are the clusters of split.NearDuplicates
//	Label          label.FourClass for what has no class
//	Split          the parts of split.Stratified, with its report
//	Write          Records, Edges or Rejects to JSON Lines
//
// A transform takes the scope, its options and a PCollection, and returns an error for
// options out of range; a PCollection of another element type is a mistake in the program,
// for which Beam panics. Options travel with the pipeline as JSON. A program calls beam.Init
// after flag.Parse, as any Beam program does.
//
// Results do not depend on how a runner bundles, orders or repeats work: a choice among
// records is made by Place (path and line) and ID, and Write sorts. With Read, the records
// kept are those that dataset.Clean keeps from the files in the order of their paths; with
// Parse, which knows no order, those that it keeps from the lines in the order of their IDs.
//
// Counts are Beam metrics in Namespace: in, kept, split, cut, dropped/REASON,
// labelled/CLASS, and the distribution runes. For the three transforms Read (or Parse),
// Dedup and Filter in a row, in + split = kept + Σ dropped. A runner that repeats a bundle
// may count it twice; the PCollections of rejects are exact.
//
// Beam finds functions, types and coders by name on its workers, so this package registers
// them when it is initialised.
//
// What it does not do: streaming (Dedup and Write group the whole input, so an unbounded
// one needs a window); read one file with several workers; means and deviations of
// dataset.CleanReport, whose bytes would depend on the order of addition; downloads,
// balancing and the synthetic generator; train. Split's keys, one bucket of NearDuplicates
// and one shard of Write must fit in a worker's memory. Languages need a detector type
// whose zero value works, since an interface cannot travel. Tested on Beam's local runners
// only, prism and direct.
package beam
