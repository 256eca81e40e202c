// Package public reads public Japanese corpora as streams of samples: CC-100
// (ja.txt.xz) and C4 (multilingual/c4-ja…json.gz).
//
// Both are read front to back in constant memory. A record that cannot be used
// is yielded as a *dataset.LineError and reading goes on; any other error ends
// the stream. Reader.Records is the position to continue from: a new reader with
// Options.Skip set to it yields exactly what the first had not.
//
// What it does not do: read Wikipedia, whose dumps are Parquet files (Wikipedia
// yields an *UnsupportedError that says what works instead); download anything
// (dataset/hub does); seek (skipping still decompresses what is skipped); judge
// or clean the text (dataset.Clean does).
package public
