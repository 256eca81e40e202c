//go:build !linux

package crashfs

// Network reports whether the folder is known to be on a network file system,
// where locks and syncing promise less. On this system nothing is known.
func (o *OS) Network() bool { return false }
