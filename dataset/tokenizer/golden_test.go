package tokenizer

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modelDir = "../../examples/fullpipeline/model"

var phi = sync.OnceValues(func() (*Tokenizer, error) { return Open(os.DirFS(modelDir)) })

func phi3(tb testing.TB) *Tokenizer {
	tb.Helper()
	t, err := phi()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

type textCase struct {
	Text          string
	IDs, Plain    []int32
	Decoded, Kept string
}

type vectorFile struct {
	Texts []textCase
	Chats []struct {
		Messages []Message
		Generate bool
		Text     string
		IDs      []int32
	}
	Decode   []textCase
	Variants []struct {
		Name      string
		Tokenizer json.RawMessage
		Cases     []textCase
	}
}

var vectors = sync.OnceValues(func() (v vectorFile, err error) {
	f, err := os.Open("testdata/vectors.json.gz")
	if err != nil {
		return v, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return v, err
	}
	return v, json.NewDecoder(z).Decode(&v)
})

func readVectors(tb testing.TB) vectorFile {
	tb.Helper()
	v, err := vectors()
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func sameIDs(t *testing.T, what, text string, got, want []int32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s of %.200q:\n got %v\nwant %v", what, text, got, want)
	}
}

// TestLlamaCpp runs llama.cpp's own cases for this vocabulary.
func TestLlamaCpp(t *testing.T) {
	in, err := os.ReadFile("testdata/ggml-vocab-phi-3.gguf.inp")
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile("testdata/ggml-vocab-phi-3.gguf.out")
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(string(in), "\n__ggml_vocab_test__\n")
	lines := strings.Split(string(out), "\n")
	texts = texts[:len(texts)-1] // what follows the last separator is no case
	if len(texts) != 46 {
		t.Fatalf("%d cases", len(texts))
	}
	for i, text := range texts {
		want := []int32{}
		for _, w := range strings.Fields(lines[i]) {
			n, err := strconv.Atoi(w)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, int32(n))
		}
		sameIDs(t, "Encode", text, phi3(t).Encode(text), want)
	}
}

func checkCases(t *testing.T, tok *Tokenizer, cases []textCase) {
	t.Helper()
	for _, c := range cases {
		sameIDs(t, "Encode", c.Text, tok.Encode(c.Text), c.IDs)
		if c.Plain != nil {
			sameIDs(t, "EncodePlain", c.Text, tok.EncodePlain(c.Text), c.Plain)
		}
		checkDecode(t, tok, c)
	}
}

func checkDecode(t *testing.T, tok *Tokenizer, c textCase) {
	t.Helper()
	if got := tok.Decode(c.IDs); got != c.Decoded {
		t.Errorf("Decode(%v) = %q, want %q", c.IDs, got, c.Decoded)
	}
	if got := tok.DecodeWith(c.IDs, DecodeOptions{KeepSpecial: true}); got != c.Kept {
		t.Errorf("Decode(%v) with specials = %q, want %q", c.IDs, got, c.Kept)
	}
}

func TestTexts(t *testing.T) { checkCases(t, phi3(t), readVectors(t).Texts) }
func TestDecode(t *testing.T) {
	for _, c := range readVectors(t).Decode {
		checkDecode(t, phi3(t), c)
	}
}

// TestModelFile holds the tokenizer.model way to the same ids.
func TestModelFile(t *testing.T) {
	tok, err := Open(only{os.DirFS(modelDir), []string{"tokenizer.model", "added_tokens.json", "tokenizer_config.json"}})
	if err != nil {
		t.Fatal(err)
	}
	checkCases(t, tok, readVectors(t).Texts)
	for id := range int32(phi3(t).VocabSize()) {
		want, _ := phi3(t).Piece(id)
		if got, _ := tok.Piece(id); got != want {
			t.Errorf("piece %d: %+v, want %+v", id, got, want)
		}
	}
}

func TestVariants(t *testing.T) {
	for _, v := range readVectors(t).Variants {
		t.Run(v.Name, func(t *testing.T) {
			tok, err := Parse(v.Tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			checkCases(t, tok, v.Cases)
		})
	}
}

func TestChats(t *testing.T) {
	for _, c := range readVectors(t).Chats {
		if got := ChatText(c.Messages, c.Generate); got != c.Text {
			t.Errorf("ChatText = %q, want %q", got, c.Text)
		}
		ids, _, err := phi3(t).EncodeChat(c.Messages, c.Generate)
		if err != nil {
			t.Fatal(err)
		}
		sameIDs(t, "EncodeChat", c.Text, ids, c.IDs)
	}
}

// TestPieces compares texts, scores and types with what llama.cpp is given.
func TestPieces(t *testing.T) {
	want, err := os.ReadFile("testdata/pieces.sum")
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	tok := phi3(t)
	for id := range int32(tok.VocabSize()) {
		p, ok := tok.Piece(id)
		if !ok {
			t.Fatalf("no piece %d", id)
		}
		fmt.Fprintf(h, "%s\t%.0f\t%d\n", p.Text, p.Score, p.Type)
	}
	if got := fmt.Sprintf("%d %x\n", tok.VocabSize(), h.Sum(nil)); got != string(want) {
		t.Errorf("pieces: %s, want %s", got, want)
	}
}

// TestAozora encodes the whole of aozora-dev.
func TestAozora(t *testing.T) {
	path := os.Getenv("BOREA_AOZORA_DEV")
	if path == "" {
		t.Skip("BOREA_AOZORA_DEV (aozora-dev as .jsonl) is not set")
	}
	sums, err := os.ReadFile("testdata/aozora-dev.sums")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	total := 0
	for i, text := range readTexts(t, path) {
		ids := phi3(t).Encode(text)
		total += len(ids)
		fmt.Fprintf(&got, "%d %d %s\n", i, len(ids), hashIDs(ids))
	}
	if got.String() != string(sums) {
		t.Error("ids differ from testdata/aozora-dev.sums")
	}
	t.Logf("%d tokens", total)
}

func hashIDs(ids []int32) string {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, ids)
	return hex.EncodeToString(h.Sum(nil))[:32]
}

func readTexts(tb testing.TB, path string) []string {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var texts []string
	for dec := json.NewDecoder(f); ; {
		var d struct{ Text string }
		if err := dec.Decode(&d); err == io.EOF {
			return texts
		} else if err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, d.Text)
	}
}

// TestOracle compares with a file of "make_vectors.py large".
func TestOracle(t *testing.T) {
	path := os.Getenv("BOREA_TOKENIZER_ORACLE")
	if path == "" {
		t.Skip("BOREA_TOKENIZER_ORACLE (made by testdata/make_vectors.py large) is not set")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	count, tokens, wrong := map[byte]int{}, 0, 0
	for {
		kind, text, want, err := oracleRecord(r)
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		count[kind]++
		tokens += len(want)
		if got := oracleEncode(t, kind, text); !slices.Equal(got, want) {
			if wrong++; wrong < 5 {
				sameIDs(t, "ids", text, got, want)
			}
		}
	}
	t.Logf("%d texts, %d chats, %d tokens: %d differ", count['t'], count['c'], tokens, wrong)
	if wrong > 0 || count['t'] == 0 {
		t.Fail()
	}
}

func oracleRecord(r io.Reader) (kind byte, text string, ids []int32, err error) {
	var head [9]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return
	}
	body := make([]byte, binary.LittleEndian.Uint32(head[1:]))
	ids = make([]int32, binary.LittleEndian.Uint32(head[5:]))
	if _, err = io.ReadFull(r, body); err == nil {
		err = binary.Read(r, binary.LittleEndian, ids)
	}
	return head[0], string(body), ids, err
}

func oracleEncode(t *testing.T, kind byte, text string) []int32 {
	if kind == 't' {
		return phi3(t).Encode(text)
	}
	var c struct {
		Messages []Message
		Generate bool
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	ids, _, err := phi3(t).EncodeChat(c.Messages, c.Generate)
	if err != nil {
		t.Fatal(err)
	}
	if plain := phi3(t).Encode(ChatText(c.Messages, c.Generate)); !slices.Equal(ids, plain) {
		t.Errorf("EncodeChat differs from Encode(ChatText) on %.200q", text)
	}
	return ids
}
