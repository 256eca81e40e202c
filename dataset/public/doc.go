// Package public reads public Japanese corpora as streams of samples: Wikipedia
// (20231101.ja/train-…parquet), CC-100 (ja.txt.xz) and C4
// (multilingual/c4-ja…json.gz).
//
// All are read front to back in constant memory. A record that cannot be used
// is yielded as a *dataset.LineError and reading goes on; any other error ends
// the stream. Reader.Records, or the number of what Wikipedia yielded, is the
// position to continue from: a new reader with Options.Skip set to it yields
// exactly what the first had not.
//
// What it does not do: download anything (dataset/hub does); seek in CC-100 and
// C4 (skipping still decompresses what is skipped); judge or clean the text
// (dataset.Clean does). A Parquet file's pages are decompressed whole, so that a
// hostile one can cost memory beyond its size; read only files you trust.
package public
