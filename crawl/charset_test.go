package crawl

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

type charsetVector struct {
	Name, Charset, Text string
	Bytes               []byte
}

// charsetVectors were made by testdata/make_charset_vectors.py with Python's codecs.
func charsetVectors(t testing.TB) (out []charsetVector) {
	t.Helper()
	data, err := os.ReadFile("testdata/charset_vectors.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &out))
	return out
}

func TestDetectAgainstPython(t *testing.T) {
	for _, v := range charsetVectors(t) {
		text, c, err := DecodeText(v.Bytes, "text/html")
		require.NoError(t, err, "%s in %s", v.Name, v.Charset)
		require.Equal(t, v.Charset, c.Name, v.Name)
		require.Equal(t, v.Text, text, "%s in %s", v.Name, v.Charset)
	}
}

// TestDetectEveryPage cuts all pages of the bundled site into pieces of
// different lengths, at any byte, and counts how often the guess is wrong.
func TestDetectEveryPage(t *testing.T) {
	files, err := filepath.Glob("localsite/pages/*.txt")
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(b)
	}
	text := strings.ReplaceAll(all.String(), "−", "－")
	for name, enc := range map[string]interface{ String(string) (string, error) }{
		"shift_jis": japanese.ShiftJIS.NewEncoder(), "euc-jp": japanese.EUCJP.NewEncoder(), "iso-2022-jp": japanese.ISO2022JP.NewEncoder(), "utf-8": unicode.UTF8.NewEncoder(),
	} {
		for _, size := range []int{10, 30, 100, 1000} {
			wrong, n := 0, 0
			for piece := range pieces(text, size) {
				b, err := enc.String(piece)
				require.NoError(t, err)
				n++
				if got := DetectJapanese([]byte(b[:len(b)-1])); got != name && !isASCII([]byte(piece)) && (name != "iso-2022-jp" || strings.Contains(b, "\x1b$B")) {
					wrong++
				}
			}
			t.Logf("%s, %d characters: %d of %d wrong", name, size, wrong, n)
			limit := 0
			if size == 10 {
				limit = n / 50
			}
			require.LessOrEqual(t, wrong, limit, "%s in pieces of %d", name, size)
		}
	}
}

func pieces(s string, size int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for r := []rune(s); len(r) >= size; r = r[size:] {
			if !yield(string(r[:size])) {
				return
			}
		}
	}
}

func TestCharsetOrder(t *testing.T) {
	const text = `<html><head><meta charset="%s"></head><body>五年に一度、近くから目で見て点検することが義務とされている。</body></html>`
	page := func(meta string) string { return strings.Replace(text, "%s", meta, 1) }
	sjis := func(s string) []byte {
		b, err := japanese.ShiftJIS.NewEncoder().Bytes([]byte(s))
		require.NoError(t, err)
		return b
	}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(page("shift_jis")))
	require.NoError(t, err)
	for _, c := range []struct {
		name, header, want, by string
		body                   []byte
	}{
		{"mark before header", "text/html; charset=shift_jis", "utf-8", "bom", []byte("\xef\xbb\xbf" + page("euc-jp"))},
		{"utf-16 mark", "text/html; charset=utf-8", "utf-16le", "bom", utf16},
		{"header before meta", "text/html; charset=Shift_JIS", "shift_jis", "header", sjis(page("utf-8"))},
		{"label in quotes", `text/html; charset="x-sjis"`, "shift_jis", "header", sjis(page(""))},
		{"meta", "text/html", "shift_jis", "meta", sjis(page("windows-31j"))},
		{"unknown header label", "text/html; charset=martian", "shift_jis", "meta", sjis(page("sjis"))},
		{"meta utf-16 is utf-8", "text/html", "utf-8", "meta", []byte(page("utf-16"))},
		{"http-equiv", "", "shift_jis", "meta", sjis(strings.Replace(page(""), `<meta charset="">`, `<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS">`, 1))},
		{"no declaration", "", "shift_jis", "detected", sjis(page(""))},
		{"wrong header", "text/html; charset=utf-8", "shift_jis", "overruled", sjis(page(""))},
		{"wrong meta", "text/html", "utf-8", "overruled", []byte(page("euc-jp"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, cs, err := DecodeText(c.body, c.header)
			require.NoError(t, err)
			require.Equal(t, c.want, cs.Name)
			require.Equal(t, c.by, cs.By)
			require.Contains(t, got, "五年に一度、近くから目で見て")
		})
	}
}

func TestDamagedPageIsKept(t *testing.T) {
	b := []byte(strings.Repeat("五年に一度、近くから目で見て点検する。", 20))
	b[100] = 0xff
	_, c, err := DecodeText(b, "text/html; charset=utf-8")
	require.NoError(t, err)
	require.Equal(t, "utf-8", c.Name)
	require.Positive(t, c.Replaced)
}

func TestOtherEncodingsAreNoted(t *testing.T) {
	b, err := korean.EUCKR.NewEncoder().Bytes([]byte(strings.Repeat("한국어 문장입니다. ", 20)))
	require.NoError(t, err)
	text, c, err := DecodeText(b, "text/html; charset=euc-kr")
	require.NoError(t, err)
	require.Equal(t, "euc-kr", c.Name)
	require.Contains(t, text, "한국어")
	g, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte("这是一个简体中文的网页"))
	require.NoError(t, err)
	text, _, err = DecodeText(g, "text/html; charset=gb2312")
	require.NoError(t, err)
	require.Contains(t, text, "简体中文")
}

func FuzzDecodeText(f *testing.F) {
	for _, v := range charsetVectors(f) {
		f.Add(v.Bytes, "text/html; charset="+v.Charset)
		f.Add(v.Bytes, "")
	}
	f.Fuzz(func(t *testing.T, b []byte, header string) {
		text, c, err := DecodeText(bytes.Clone(b), header)
		if err == nil && (!utf8.ValidString(text) || c.Name == "") {
			t.Fatalf("%q as %+v", text, c)
		}
	})
}
