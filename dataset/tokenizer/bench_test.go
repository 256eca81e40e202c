package tokenizer

import (
	"os"
	"strings"
	"testing"
)

// prose returns Japanese text: aozora-dev where BOREA_AOZORA_DEV names it, else
// the sentences of the committed vectors.
func prose(b *testing.B) []string {
	if path := os.Getenv("BOREA_AOZORA_DEV"); path != "" {
		return readTexts(b, path)
	}
	var texts []string
	for _, c := range readVectors(b).Texts[930:] {
		texts = append(texts, c.Text)
	}
	return []string{strings.Join(texts, "\n")}
}

const english = "The quick brown fox jumps over the lazy dog, while representatives of 23 countries " +
	"discuss straightforward implementations; \"isn't it?\" she asked.\n"

func benchEncode(b *testing.B, texts ...string) {
	tok := phi3(b)
	size := 0
	for _, s := range texts {
		size += len(s)
	}
	var dst []int32
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range texts {
			dst = tok.Append(dst[:0], s)
		}
	}
}

func BenchmarkEncodeProse(b *testing.B)   { benchEncode(b, prose(b)...) }
func BenchmarkEncodeEnglish(b *testing.B) { benchEncode(b, strings.Repeat(english, 500)) }
func BenchmarkEncodeShort(b *testing.B) {
	benchEncode(b, "<|user|>\n評価してください。<|end|>\n<|assistant|>\n")
}
func BenchmarkEncodeLongRun(b *testing.B) { benchEncode(b, strings.Repeat("a", 1<<20)) }
func BenchmarkEncodeSpaces(b *testing.B)  { benchEncode(b, strings.Repeat(" ", 1<<20)) }
func BenchmarkEncodeLongWord(b *testing.B) {
	benchEncode(b, strings.Repeat("theimplementationofrepresentatives", 1<<15))
}
func BenchmarkEncodeBrackets(b *testing.B) { benchEncode(b, strings.Repeat("<|", 1<<19)) }

func BenchmarkEncodeParallel(b *testing.B) {
	tok, texts := phi3(b), prose(b)
	size := 0
	for _, s := range texts {
		size += len(s)
	}
	b.SetBytes(int64(size))
	b.RunParallel(func(pb *testing.PB) {
		var dst []int32
		for pb.Next() {
			for _, s := range texts {
				dst = tok.Append(dst[:0], s)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	tok := phi3(b)
	ids := tok.Encode(strings.Join(prose(b), "\n"))
	b.SetBytes(int64(len(tok.Decode(ids))))
	for b.Loop() {
		tok.Decode(ids)
	}
}

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile(modelDir + "/tokenizer.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseModel(b *testing.B) {
	data, err := os.ReadFile(modelDir + "/tokenizer.model")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := ParseModel(data); err != nil {
			b.Fatal(err)
		}
	}
}
