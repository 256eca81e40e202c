package crawl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// acceptEncoding is what is asked for and all that decode understands, besides deflate.
const acceptEncoding = "gzip, zstd"

// ratioFloor is the decoded size below which a high compression ratio is
// harmless, in bytes.
const ratioFloor = 1 << 20

var (
	errWireLimit    = errors.New("body is larger than the limit")
	errDecodedLimit = errors.New("decoded body is larger than the limit")
	errRatio        = errors.New("body expands beyond the ratio limit")
	errEncoding     = errors.New("unknown content encoding")
	errSlow         = errors.New("body arrives slower than the minimum rate")
)

// bodyLimits bounds what a response may cost.
type bodyLimits struct {
	wire, decoded int64   // bytes
	ratio         float64 // decoded / wire
	rate          float64 // bytes a second on the wire, over each window
	window        time.Duration
}

// meter counts what passes and ends with errWireLimit beyond the limit.
type meter struct {
	src   io.Reader
	n     atomic.Int64
	limit int64
}

func (m *meter) Read(p []byte) (int, error) {
	left := m.limit - m.n.Load()
	if left < 0 {
		return 0, errWireLimit
	}
	// One byte over the limit tells a body that ends there from one that goes on.
	n, err := m.src.Read(p[:min(int64(len(p)), left+1)])
	if m.n.Add(int64(n)) > m.limit {
		return n, errWireLimit
	}
	return n, err
}

// readBody reads and decodes a response body within the limits. cancel is
// called with errSlow when the body trickles; reads must then fail.
func readBody(body io.Reader, encoding string, lim bodyLimits, cancel context.CancelCauseFunc) ([]byte, error) {
	wire := &meter{src: body, limit: lim.wire}
	stop := watchRate(wire, lim, cancel)
	defer stop()
	src, closeSrc, err := decode(wire, encoding, lim.decoded)
	if err != nil {
		return nil, err
	}
	defer closeSrc()
	return readDecoded(src, wire, lim)
}

func readDecoded(src io.Reader, wire *meter, lim bodyLimits) ([]byte, error) {
	var out bytes.Buffer
	for chunk := make([]byte, 32<<10); ; {
		n, err := src.Read(chunk)
		out.Write(chunk[:n])
		size := int64(out.Len())
		switch {
		case size > lim.decoded:
			return out.Bytes()[:lim.decoded], errDecodedLimit
		case size > ratioFloor && float64(size) > lim.ratio*float64(wire.n.Load()):
			return out.Bytes(), errRatio
		case err == io.EOF:
			return out.Bytes(), nil
		case err != nil:
			return out.Bytes(), err
		}
	}
}

// watchRate cancels the request when a whole window brought too few bytes.
func watchRate(m *meter, lim bodyLimits, cancel context.CancelCauseFunc) (stop func()) {
	if lim.rate <= 0 || lim.window <= 0 {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(lim.window)
		defer tick.Stop()
		for last := int64(0); ; {
			select {
			case <-done:
				return
			case <-tick.C:
				n := m.n.Load()
				if float64(n-last) < lim.rate*lim.window.Seconds() {
					cancel(errSlow)
					return
				}
				last = n
			}
		}
	}()
	return func() { close(done) }
}

// decode undoes one Content-Encoding. Stacked encodings are refused: no honest
// server sends them, and each layer multiplies the ratio.
func decode(r io.Reader, encoding string, limit int64) (io.Reader, func(), error) {
	nothing := func() {}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return r, nothing, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		return z, nothing, err
	case "deflate":
		z, err := zlib.NewReader(r)
		return z, nothing, err
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(uint64(limit)+1))
		if err != nil {
			return nil, nothing, err
		}
		return z, z.Close, nil
	}
	return nil, nothing, fmt.Errorf("%w %q", errEncoding, encoding)
}

// gunzipIfNeeded unpacks a body that is a gzip file itself (sitemap.xml.gz).
func gunzipIfNeeded(b []byte, lim bodyLimits) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte("\x1f\x8b")) {
		return b, nil
	}
	wire := &meter{src: bufio.NewReader(bytes.NewReader(b)), limit: int64(len(b))}
	z, err := gzip.NewReader(wire)
	if err != nil {
		return nil, err
	}
	return readDecoded(z, wire, lim)
}
