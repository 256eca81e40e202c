package crawl

import (
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublicAddress(t *testing.T) {
	for ip, want := range map[string]bool{
		"8.8.8.8": true, "203.0.114.1": true, "2001:4860:4860::8888": true, "64:ff9b::808:808": true, "::ffff:8.8.8.8": true, "172.32.0.1": true, "100.128.0.1": true,
		"0.0.0.0": false, "10.1.2.3": false, "100.64.0.1": false, "127.0.0.1": false, "127.255.255.255": false, "169.254.169.254": false,
		"172.16.0.1": false, "172.31.255.255": false, "192.0.0.8": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false,
		"198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a00:1": false,
		"64:ff9b:1::808:808": false, "100::1": false, "2001::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "3fff::1": false,
		"fc00::1": false, "fd12::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false, "5f00::1": false,
	} {
		if got := PublicAddress(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v, want %v", ip, got, want)
		}
	}
	require.False(t, PublicAddress(netip.Addr{}))
}

func TestGuardPorts(t *testing.T) {
	g := guard{ports: []int{80, 443}}
	require.NoError(t, g.control("tcp", "8.8.8.8:443", nil))
	require.NoError(t, g.control("tcp6", "[2001:4860:4860::8888]:80", nil))
	for _, a := range []string{"8.8.8.8:22", "8.8.8.8:0", "127.0.0.1:80", "[::1]:80", "nonsense", "8.8.8.8"} {
		require.Error(t, g.control("tcp", a, nil), a)
	}
	open := guard{ports: []int{80}, loopback: true}
	require.NoError(t, open.control("tcp", "127.0.0.1:9999", nil))
	require.NoError(t, open.control("tcp", "[::ffff:127.0.0.1]:9999", nil))
	require.Error(t, open.control("tcp", "10.0.0.1:80", nil), "loopback is not the private network")
}

func TestNormalizeURL(t *testing.T) {
	base, err := url.Parse("http://example.com/a/b/c?q#f")
	require.NoError(t, err)
	for in, want := range map[string]string{
		"d": "http://example.com/a/b/d", "../d": "http://example.com/a/d", "../../../d": "http://example.com/d", "/d/./e/..": "http://example.com/d/",
		"HTTP://EXAMPLE.com:80/A": "http://example.com/A", "https://example.com:443": "https://example.com/", "//example.org": "http://example.org/",
		"#top": "http://example.com/a/b/c?q", "?x=1#y": "http://example.com/a/b/c?x=1", " d\n": "http://example.com/a/b/d", "http://example.com.:8080/": "http://example.com:8080/",
		"/%7euser/%e3%83%84": "http://example.com/~user/%E3%83%84", "/ツ": "http://example.com/%E3%83%84", "/a%2Fb": "http://example.com/a%2Fb",
		"http://日本語.jp/": "http://xn--wgv71a119e.jp/", "/a b?c d": "http://example.com/a%20b?c%20d", "http://[2001:DB8::1]:80/": "http://[2001:db8::1]/",
		"/x?": "http://example.com/x",
	} {
		u, err := NormalizeURL(base, in)
		require.NoError(t, err, in)
		require.Equal(t, want, u.String(), in)
		again, err := NormalizeURL(nil, u.String())
		require.NoError(t, err, in)
		require.Equal(t, want, again.String(), "%s: not a fixed point", in)
	}
	for _, in := range []string{
		"ftp://example.com/", "javascript:alert(1)", "mailto:a@b", "data:,x", "http://", "http:///x", "http://u:p@example.com/", "http://example.com:0/", "http://example.com:99999/",
		"http://exa mple.com/", "//..", "//.a/", "//a..b/", "//a。。b/", "//a。/。", "%zz", "/a/b/a/b/a/b/a/b/", "/x?" + string(make([]byte, 3000)), "/?a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=1&k=2&l=3&m=4",
	} {
		u, err := NormalizeURL(base, in)
		require.Error(t, err, "%q gave %v", in, u)
	}
}

func FuzzNormalizeURL(f *testing.F) {
	for _, s := range []string{"http://example.com/%7e/../x?y#z", "//h:80", "/a%2fb", "http://日本語.jp/ツ?ツ", "http://[::1]/", "?", "http://a/%25%32%35"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "http", Host: "example.com", Path: "/a/b"}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := NormalizeURL(base, s)
		if err != nil {
			return
		}
		again, err := NormalizeURL(nil, u.String())
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q → %q → %v %v", s, u, again, err)
		}
	})
}
