// Package image is the form in which compiled kernels are committed: a header
// line with the hash of the sources they were made from, then a CUDA fat binary.
//
// A test compares the hashes, so that an image older than its sources fails
// without a compiler. Package main in folder compile makes the images.
//
// What it does not do: it neither loads nor runs kernels.
package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
)

const (
	magic  = "borea kernels, sources sha256 "
	header = 128 // bytes; a fat binary wants alignment
)

// ErrFormat is returned for bytes that are no image.
var ErrFormat = errors.New("cuda: not a kernel image")

// Make returns the image of a fat binary.
func Make(hash string, binary []byte) []byte {
	h := bytes.Repeat([]byte{' '}, header)
	copy(h, magic+hash)
	h[header-1] = '\n'
	return append(h, binary...)
}

// Open returns the hash and the fat binary of an image.
func Open(img []byte) (hash string, binary []byte, err error) {
	if len(img) <= header || !bytes.HasPrefix(img, []byte(magic)) {
		return "", nil, ErrFormat
	}
	return string(bytes.TrimSpace(img[len(magic):header])), img[header:], nil
}

var include = regexp.MustCompile(`(?m)^#include "([^"]+)"`)

// Hash returns the SHA-256 of a source and of everything it includes from the
// same folder, in order of first mention.
func Hash(fsys fs.FS, source string) (string, error) {
	h := sha256.New()
	files := []string{source}
	for i := 0; i < len(files); i++ {
		text, err := fs.ReadFile(fsys, files[i])
		if err != nil {
			return "", fmt.Errorf("cuda: source of %s: %w", source, err)
		}
		h.Write(text)
		for _, m := range include.FindAllSubmatch(text, -1) {
			if name := string(m[1]); !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
