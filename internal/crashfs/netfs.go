//go:build linux

package crashfs

import (
	"slices"
	"syscall"
)

// networkTypes are the f_type values of linux/magic.h for NFS, SMB, CIFS, SMB2,
// 9p, AFS, Ceph and FUSE, which hides what is behind it.
var networkTypes = []uint32{0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x5346414f, 0x00c36400, 0x65735546}

// Network reports whether the folder is known to be on a network file system,
// where locks and syncing promise less.
func (o *OS) Network() bool {
	var st syscall.Statfs_t
	err := syscall.Statfs(o.root.Name(), &st)
	return err == nil && slices.Contains(networkTypes, uint32(st.Type))
}
