// Package split divides records into parts (train, val, test) so that every
// part has each class in its share, records that belong together never land on
// both sides, and the same records give the same parts whatever their order.
//
// Records that share an ID or any group key (template, host, near-duplicate
// cluster) form one unit, also transitively, and a unit goes to one part as a
// whole. Shares follow the largest-remainder method per class. The order in
// which units are dealt comes from a hash of seed and content, so a record keeps
// no trace of its position. The report carries a proof of disjointness made by
// a separate pass over all keys.
//
// NearDuplicates finds clusters of nearly equal texts for use as such keys.
//
// What it does not do: balance classes, or copy records; it returns one byte a
// record. The unit hash has 64 bits: a collision joins two units, which is
// harmless for leakage. With units that hold many records shares are met as
// nearly as the units allow, by a greedy rule, not by an optimal search.
// Near-duplicates are those of wording: a paraphrase is not found.
package split
