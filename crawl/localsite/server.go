package localsite

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/borea-go/borea/crawl"
)

// Host is the name under which the pages are known, whatever port the server
// got, so that two runs give the same addresses (RFC 6761 keeps ".test" free).
const Host = "site.test"

// Server is the site on a loopback port.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Start serves the site on a free port of 127.0.0.1. Its robots.txt asks for a
// Crawl-delay of delay seconds.
func Start(delay float64) (*Server, error) {
	h, err := Handler(delay)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, listener: l, done: make(chan error, 1)}
	go func() { s.done <- s.http.Serve(l) }()
	return s, nil
}

// Hosts tells a crawler where Host is; for crawl.Env.Hosts. It also needs
// Options.AllowLoopback.
func (s *Server) Hosts() map[string]string {
	return map[string]string{Host + ":80": s.listener.Addr().String()}
}

// Close stops the server.
func (s *Server) Close() error {
	err := s.http.Close()
	if e := <-s.done; !errors.Is(e, http.ErrServerClosed) {
		return errors.Join(err, e)
	}
	return err
}

// Seeds returns one seed a domain, each kept to its part of the site.
func Seeds() (out []crawl.Seed) {
	for _, d := range domains {
		out = append(out, crawl.Seed{URL: "http://" + Host + "/" + d.name + "/", Domain: d.name, PathPrefix: "/" + d.name + "/"})
	}
	return out
}

// Options returns crawl options that suit the site: loopback permitted, no
// delay beyond the one its robots.txt asks for, all pages within reach.
func Options() crawl.Options {
	o := crawl.DefaultOptions()
	o.AllowLoopback = true
	o.DelaySeconds, o.MaxDepth = 0, 12
	return o
}
