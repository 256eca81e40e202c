// Package dataset holds the record that passes between all stages, Sample, and
// what is done to streams of it: JSON Lines in and out (plain, gzip, zstd),
// cleaning, statistics, and the synthetic generator.
//
// A stream is an iter.Seq2[Sample, error]. A *LineError in it is one rejected
// line, after which the stream goes on; any other error ends it. Readers of a
// stream that stop at the first error are strict, those that count LineErrors
// are tolerant; Clean is tolerant and reports them.
//
// What it does not do: near-duplicate search, downloads, and language
// identification itself; Clean takes any LanguageDetector (dataset/langid has
// one). It holds one 16-byte hash a kept record in memory to find duplicates,
// and nothing else of the corpus.
package dataset
