package hub

import (
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Repo names a repository at a revision.
type Repo struct {
	Kind     Kind   `json:"kind" yaml:"kind"`
	ID       string `json:"id" yaml:"id"`             // "owner/name", or "name" of the hub itself
	Revision string `json:"revision" yaml:"revision"` // commit: 40 hexadecimal digits; for Resolve also a branch or tag
}

// Kind is what a repository holds.
type Kind string

// The kinds of repositories.
const (
	Model   Kind = "model"
	Dataset Kind = "dataset"
)

var (
	repoID     = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$`)
	commitName = regexp.MustCompile(`^[0-9a-f]{40}$`)
	branchName = regexp.MustCompile(`^[A-Za-z0-9][\w./-]{0,200}$`)
	sha256Name = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (r Repo) validate(pinned bool) error {
	switch {
	case r.Kind != Model && r.Kind != Dataset:
		return &OptionError{"Repo.Kind", r.Kind, `"model" or "dataset"`}
	case !repoID.MatchString(r.ID) || strings.Contains(r.ID, "..") || strings.Contains(r.ID, "--"):
		return &OptionError{"Repo.ID", r.ID, "owner/name"}
	case pinned && !commitName.MatchString(r.Revision):
		return &OptionError{"Repo.Revision", r.Revision, "a commit of 40 hexadecimal digits (Resolve finds the one of a branch)"}
	case !branchName.MatchString(r.Revision) || strings.Contains(r.Revision, "..") || strings.Contains(r.Revision, "//"):
		return &OptionError{"Repo.Revision", r.Revision, "a commit, branch or tag"}
	}
	return nil
}

// checkPath refuses paths that could leave the snapshot's folder, on any system.
func checkPath(p string) error {
	if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, "\\:\x00") || path.Clean(p) != p {
		return &OptionError{"path", p, "a relative path with forward slashes"}
	}
	return nil
}

// url is where the hub serves the file.
func (r Repo) url(endpoint, file string) string {
	prefix := ""
	if r.Kind == Dataset {
		prefix = "/datasets"
	}
	var parts []string
	for p := range strings.SplitSeq(file, "/") {
		parts = append(parts, url.PathEscape(p))
	}
	return strings.TrimSuffix(endpoint, "/") + prefix + "/" + r.ID + "/resolve/" + url.PathEscape(r.Revision) + "/" + strings.Join(parts, "/")
}

// dir is the repository's folder in the cache.
func (r Repo) dir(cache string) string {
	return filepath.Join(cache, string(r.Kind)+"s--"+strings.ReplaceAll(r.ID, "/", "--"))
}

func (r Repo) refPath(cache string) string {
	return filepath.Join(r.dir(cache), "refs", filepath.FromSlash(r.Revision))
}

func (r Repo) snapshotPath(cache, file string) string {
	return filepath.Join(r.dir(cache), "snapshots", r.Revision, filepath.FromSlash(file))
}

func (r Repo) blobPath(cache, hash string) string {
	return filepath.Join(r.dir(cache), "blobs", hash)
}
