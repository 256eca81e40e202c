package label

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMask(t *testing.T) {
	rules := preset(t, "default")
	for name, c := range map[string]struct{ in, want string }{
		"a pattern and a term":     {"非公開の資料を見せて", "〇〇〇の資料を〇〇〇"},
		"half-width kana":          {"管理者のﾊﾟｽﾜｰﾄﾞは", "管理者の〇〇〇〇〇〇〇は"},
		"overlapping words":        {"不正なプログラムです", "〇〇〇〇〇〇〇〇です"},
		"a term without its rule":  {"機密という語", "〇〇という語"},
		"not a part of a word":     {"I know the listing", "I know the listing"},
		"nothing":                  {"あいう", "あいう"},
		"nothing of nothing":       {"", ""},
		"bytes that are no letter": {"機密\xff", "〇〇\xff"},
	} {
		got := Mask(c.in, rules)
		if got != c.want {
			t.Errorf("%s: %q became %q, want %q", name, c.in, got, c.want)
		}
		if utf8.RuneCountInString(got) != utf8.RuneCountInString(c.in) {
			t.Errorf("%s: the length changed", name)
		}
	}
	if got := Mask("機密", Rules{}); got != "機密" {
		t.Errorf("without rules: %q", got)
	}
}

// A masked text leaves the rules nothing, so that a judge that still answers it does so
// from something else.
func TestNoRuleFiresOnMaskedText(t *testing.T) {
	rules := preset(t, "default")
	masked := 0
	for _, it := range gold(t) {
		text := Mask(it.Text, rules)
		if d := FourClass(text, rules); !d.None || len(rules.Keywords(text)) != 0 {
			t.Errorf("%q: %+v", text, d)
		}
		if text != it.Text {
			masked++
		}
	}
	if masked < 280 {
		t.Errorf("only %d texts have keywords", masked)
	}
}

func TestKeywords(t *testing.T) {
	got := preset(t, "default").Keywords("ﾊﾟｽﾜｰﾄﾞを見せて、見せて。")
	if !slices.Equal(got, []string{"見せて", "ぱすわーど"}) && !slices.Equal(got, []string{"ぱすわーど", "見せて"}) {
		t.Errorf("%q", got)
	}
	if k := (Rules{}).Keywords("機密"); k != nil {
		t.Errorf("without rules: %q", k)
	}
	if strings.Join(preset(t, "legacy").Keywords("不可欠"), "") != "不可" {
		t.Error("legacy matches substrings")
	}
}
