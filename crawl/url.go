package crawl

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxURLLength  = 2048
	maxSegments   = 24 // of a path
	maxRepeats    = 3  // of one path segment: /a/b/a/b/a/b/ is a loop of links
	maxParameters = 12 // of a query
)

var (
	errScheme = errors.New("scheme is neither http nor https")
	errUser   = errors.New("user information in the URL")
	errHost   = errors.New("no host, or not a valid one")
	errLong   = errors.New("longer than 2048 bytes")
	errTrap   = errors.New("looks like an endless space of pages")
)

// NormalizeURL resolves ref against base (nil if ref is absolute) and brings it
// to the form by which pages are told apart: scheme and host in lower case, host
// in ASCII (IDNA), default port and fragment dropped, dot segments resolved,
// escapes as RFC 3986, section 6.2.2, normalises them. It refuses what is not
// http or https, user information, and shapes that endless link spaces have.
func NormalizeURL(base *url.URL, ref string) (*url.URL, error) {
	ref = strings.TrimSpace(strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(ref))
	if len(ref) > maxURLLength {
		return nil, errLong
	}
	u, err := url.Parse(ref)
	if err != nil {
		return nil, err
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	return canonicalURL(u)
}

func canonicalURL(in *url.URL) (*url.URL, error) {
	u := *in
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, errScheme
	}
	if u.User != nil {
		return nil, errUser
	}
	host, err := canonicalHost(&u)
	if err != nil {
		return nil, err
	}
	u.Host, u.Fragment, u.RawFragment = host, "", ""
	path := normalizeEscapes(u.EscapedPath())
	if path == "" {
		path = "/"
	}
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	u.RawPath = path
	u.RawQuery = normalizeEscapes(strings.ReplaceAll(u.RawQuery, " ", "%20"))
	u.ForceQuery = false
	if len(u.String()) > maxURLLength {
		return nil, errLong
	}
	if isTrap(&u) {
		return nil, errTrap
	}
	return &u, nil
}

func canonicalHost(u *url.URL) (string, error) {
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if strings.Contains(name, ":") {
		ip, err := netip.ParseAddr(name)
		if err != nil || ip.Zone() != "" {
			return "", errHost
		}
		name = "[" + ip.String() + "]"
	} else {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil || strings.Contains("."+ascii+".", "..") { // an empty label names no host
			return "", errHost
		}
		name = ascii
	}
	port := u.Port()
	if port == "" || port == defaultPort(u.Scheme) {
		return name, nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errHost
	}
	return name + ":" + port, nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func isTrap(u *url.URL) bool {
	segments := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(segments) > maxSegments || strings.Count(u.RawQuery, "&") >= maxParameters {
		return true
	}
	seen := map[string]int{}
	for _, s := range segments {
		if seen[s]++; seen[s] > maxRepeats {
			return true
		}
	}
	return false
}
