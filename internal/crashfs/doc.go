// Package crashfs is the file system that crash-safe code is written against:
// the few operations it needs, the real ones (OS), and a simulation (Sim) that
// can lose power after any operation and come back with any state that a disk
// may show then.
//
// The simulation keeps what is durable apart from what is pending. Data written
// to a file is pending until the file is synced, and comes back whole, missing
// or torn at any block; entries created, renamed or removed in a folder are
// pending until the folder is synced, and come back in any subset. That is
// weaker than what common file systems promise, on purpose (see Pillai et al.,
// "All File Systems Are Not Created Equal", OSDI 2014).
//
// What it does not do: links, permissions, times, or bit rot (tests flip bits
// themselves).
package crashfs
