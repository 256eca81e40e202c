// Package sealed holds small JSON records that know whether they are whole. A
// record is three lines: its kind and version, the JSON, and the SHA-256 of both
// lines before.
//
// What it does not do: it keeps no secrets and proves no author; anybody can seal.
package sealed
