package public

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/ulikunitz/xz"

	"github.com/borea-go/borea/dataset"
)

// maxDictionary is the largest xz dictionary accepted; CC-100 uses at most
// 64 MiB (xz -9).
const maxDictionary = 256 << 20

// ErrDictionary means an xz file that asks for a dictionary over 256 MiB.
var ErrDictionary = errors.New("public: xz dictionary is too large")

func openXZ(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if err := checkDictionary(b); err != nil {
		return nil, err
	}
	return xz.NewReader(b)
}

// checkDictionary looks at the first block header (The .xz File Format, version
// 1.0.4, sections 2.1.1 and 3.1; dictionary byte: section 5.3.1), since the
// decoder allocates what the header asks for. What it cannot read is left for
// the decoder to refuse.
func checkDictionary(b *bufio.Reader) error {
	const streamHeader = 12
	h, err := b.Peek(streamHeader + 2)
	if err != nil {
		return nil
	}
	size := (int(h[streamHeader]) + 1) * 4
	flags := h[streamHeader+1]
	if h, err = b.Peek(streamHeader + size); err != nil || h[streamHeader] == 0 {
		return nil
	}
	f := h[streamHeader+2:]
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} {
		for present && len(f) > 0 { // a size of a variable number of bytes
			present, f = f[0]&0x80 != 0, f[1:]
		}
	}
	if len(f) < 3 || f[0] != 0x21 || f[1] != 1 {
		return nil
	}
	if bits := f[2] & 0x3f; (2|uint64(bits&1))<<(bits/2+11) > maxDictionary {
		return ErrDictionary
	}
	return nil
}

func openGzip(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

// cc100Licence is what the corpus itself says: no rights of its own are claimed
// beyond those of the Common Crawl it was made from.
const cc100Licence = "Common Crawl terms of use"

func parseCC100(record []byte) (dataset.Sample, *dataset.LineError) {
	text := strings.TrimSpace(string(record))
	if text == "" {
		return dataset.Sample{}, &dataset.LineError{Reason: dataset.EmptyRecord, Err: errors.New("white space only")}
	}
	return dataset.Sample{Text: text, Source: "cc100", Licence: cc100Licence, Language: "ja"}, nil
}

func parseC4(record []byte) (dataset.Sample, *dataset.LineError) {
	var rec struct {
		Text *string `json:"text"`
		URL  string  `json:"url"`
	}
	if err := json.Unmarshal(record, &rec); err != nil {
		reason, column := dataset.MalformedJSON, int64(0)
		if t := (*json.UnmarshalTypeError)(nil); errors.As(err, &t) {
			reason, column = dataset.WrongType, t.Offset
		}
		if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
			column = s.Offset
		}
		return dataset.Sample{}, &dataset.LineError{Reason: reason, Column: column, Err: err}
	}
	if rec.Text == nil || strings.TrimSpace(*rec.Text) == "" {
		return dataset.Sample{}, &dataset.LineError{Reason: dataset.EmptyRecord, Err: errors.New("no text")}
	}
	return dataset.Sample{Text: *rec.Text, Source: "c4", URL: rec.URL, Licence: "ODC-By-1.0", Language: "ja"}, nil
}

// The place of the C4 shards on a Hugging Face style hub.
const (
	C4Repo   = "allenai/c4"
	C4Shards = 1024 // of the Japanese training part
)

// C4Path returns the path of training shard i within C4Repo.
func C4Path(i int) (string, error) {
	if i < 0 || i >= C4Shards {
		return "", &dataset.OptionError{Option: "shard", Value: i, Want: fmt.Sprintf("0 to %d", C4Shards-1)}
	}
	return fmt.Sprintf("multilingual/c4-ja.tfrecord-%05d-of-%05d.json.gz", i, C4Shards), nil
}
