package crashfs

import (
	"os"
	"slices"
)

func sortedNames(d *os.File) ([]string, error) {
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// RemoveAll removes a folder and what is in it, deepest first.
func RemoveAll(fs FS, path string) error {
	names, err := fs.List(path)
	if err != nil {
		return fs.Remove(path)
	}
	for _, n := range names {
		if err := RemoveAll(fs, path+"/"+n); err != nil {
			return err
		}
	}
	return fs.Remove(path)
}
