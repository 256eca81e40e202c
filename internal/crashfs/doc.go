// Package crashfs is the file system that crash-safe code is written against:
// the few operations it needs (FS), the real ones (OS), and a simulation (Sim)
// that can lose power after any operation and come back as any disk may then be.
//
// Files: fs.go the interface and what is built from it; os.go with os_unix.go,
// os_windows.go, flock.go, netfs.go the real system; sim.go, simfile.go and entries.go
// the simulation; crash.go what a power cut leaves; pick.go random and exhaustive
// choices; fault.go failing operations.
//
// The simulation is weaker than common file systems, on purpose: Pillai et al.,
// "All File Systems Are Not Created Equal" (OSDI 2014), lists what they really
// reorder. Bytes written to a file are pending until it is synced; they come back
// whole, absent, cut short, or with blocks of 1, 512 or 4096 bytes that read as
// zeros or garbage. Names created, renamed or removed in a folder are pending until
// the folder is synced; any subset of them comes back, and a rename may leave both
// names. A sync that fails drops what it should have written, and later syncs of
// that file succeed without it, as Linux may do.
//
// What it does not do: links, permissions, times and rewriting a file in place;
// bit rot of synced data, which tests add with Flip; disks that lie about syncing.
package crashfs
