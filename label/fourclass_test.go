package label

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func preset(t testing.TB, name string) Rules {
	t.Helper()
	r, err := Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// small is a rule set in which every mechanism can be seen alone.
func small(t *testing.T, rules ...Rule) Rules {
	t.Helper()
	r, err := Compile(RuleSet{
		Name: "small", Version: 1, Mode: ScoreMode, Fold: true, None: Escalation,
		Order:    []Class{Refuse, Deny, Escalation, Allow},
		Terms:    map[string]Term{"secret": {Words: []string{"秘密"}, Except: []string{"秘密計算"}}},
		Negation: Negation{After: []string{"ではなく"}, Before: []string{"not "}, Window: 15},
		Rules:    rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMatching(t *testing.T) {
	deny := Rule{ID: "d", Class: Deny, Weight: 1}
	with := func(f func(*Rule)) Rule { r := deny; f(&r); return r }
	words := func(w ...string) Rule { return with(func(r *Rule) { r.Any = w }) }
	tests := []struct {
		name, text string
		rule       Rule
		want       string // the matched text; "" for none
	}{
		{"plain", "それは不可です", words("不可"), "不可"},
		{"part of another word", "対話が不可欠です", with(func(r *Rule) { r.Any, r.Except = []string{"不可"}, []string{"不可欠"} }), ""},
		{"beside the other word", "不可欠だが不可", with(func(r *Rule) { r.Any, r.Except = []string{"不可"}, []string{"不可欠"} }), "不可"},
		{"no in know", "I know this", words("no"), ""},
		{"no as a word", "No, thanks", words("no"), "No"},
		{"beside Japanese", "それはnoです", words("no"), "no"},
		{"full width", "ＮＯです", words("no"), "ＮＯ"},
		{"half-width katakana with marks", "ﾊﾟｽﾜｰﾄﾞを", words("パスワード"), "ﾊﾟｽﾜｰﾄﾞ"},
		{"offsets after half-width text", "ﾊﾟｽﾜｰﾄﾞは秘密", words("秘密"), "秘密"},
		{"katakana word within a longer one", "ハックルベリー", words("ハック"), ""},
		{"katakana is not hiragana", "でもの話", words("デモ"), ""},
		{"hiragana pattern on katakana text", "ダメです", words("だめ"), "ダメ"},
		{"loose", "ハックルベリー", with(func(r *Rule) { r.Any, r.Loose = []string{"ハック"}, true }), "ハック"},
		{"term in the sentence", "秘密を教えて", with(func(r *Rule) { r.Any, r.With = []string{"教えて"}, []string{"secret"} }), "教えて"},
		{"term in another sentence", "秘密です。道を教えて", with(func(r *Rule) { r.Any, r.With = []string{"教えて"}, []string{"secret"} }), ""},
		{"term anywhere in the text", "秘密です。道を教えて", with(func(r *Rule) { r.Any, r.With, r.Scope = []string{"教えて"}, []string{"secret"}, "text" }), "教えて"},
		{"term only within its exception", "秘密計算を教えて", with(func(r *Rule) { r.Any, r.With = []string{"教えて"}, []string{"secret"} }), ""},
		{"forbidden term after the match", "教えて、秘密", with(func(r *Rule) { r.Any, r.Without = []string{"教えて"}, []string{"secret"} }), ""},
		{"term as pattern", "秘密", with(func(r *Rule) { r.AnyTerms = []string{"secret"} }), "秘密"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := FourClass(tt.text, small(t, tt.rule))
			if tt.want == "" {
				if len(d.Evidence) != 0 || !d.None || d.Class != Escalation {
					t.Errorf("%+v, want nothing", d)
				}
				return
			}
			if d.Class != Deny || len(d.Evidence) != 1 || d.Evidence[0].Text != tt.want {
				t.Fatalf("%+v, want %q", d, tt.want)
			}
			if e := d.Evidence[0]; tt.text[e.Start:e.End] != e.Text {
				t.Errorf("span %d:%d is not %q", e.Start, e.End, e.Text)
			}
		})
	}
}

func TestNegation(t *testing.T) {
	refuse := Rule{ID: "r", Class: Refuse, Weight: 1, Any: []string{"作り方", "attack"}}
	tests := []struct {
		text    string
		negated bool
	}{
		{"作り方ではなく歴史を", true},
		{"作り方。ではなく", false},
		{"作り方、ではなく歴史を", false},
		{"作り方の話ではなく歴史を", true},
		{"作り方の長い長い説明ではなく", false}, // beyond the window
		{"do not go anywhere near the attack", false},
		{"do not attack", true},
		{"not now, attack", false},
		{"attack not", false},
	}
	for _, tt := range tests {
		d := FourClass(tt.text, small(t, refuse))
		if len(d.Evidence) != 1 || d.Evidence[0].Negated != tt.negated || (d.Class == Refuse) == tt.negated {
			t.Errorf("%s: %+v", tt.text, d)
		}
	}
	firm := refuse
	firm.Firm = true
	if d := FourClass("作り方ではなく", small(t, firm)); d.Class != Refuse {
		t.Errorf("firm rule was negated: %+v", d)
	}
}

func TestScoresAndTies(t *testing.T) {
	rules := small(t,
		Rule{ID: "a1", Class: Allow, Weight: 2, Any: []string{"説明"}},
		Rule{ID: "d1", Class: Deny, Weight: 2, Any: []string{"中身"}},
		Rule{ID: "a2", Class: Allow, Weight: 1, Any: []string{"概要"}})
	tests := []struct {
		text string
		want Class
		tie  bool
	}{
		{"説明", Allow, false},
		{"説明と説明と中身", Deny, true}, // a rule counts once
		{"説明と概要と中身", Allow, false},
		{"", Escalation, false},
	}
	for _, tt := range tests {
		if d := FourClass(tt.text, rules); d.Class != tt.want || d.Tie != tt.tie {
			t.Errorf("%q: %+v", tt.text, d)
		}
	}
	if ids := FourClass("説明と説明と概要", rules).RuleIDs(); fmt.Sprint(ids) != "[a1 a2]" {
		t.Errorf("rule ids %v", ids)
	}
}

func TestFirstModeIgnoresWeights(t *testing.T) {
	set := preset(t, "legacy").Set()
	set.Rules = []Rule{
		{ID: "a", Class: Allow, Weight: 9, Any: []string{"説明"}},
		{ID: "d", Class: Deny, Weight: 1, Any: []string{"禁止"}},
	}
	rules, err := Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	if d := FourClass("説明と禁止", rules); d.Class != Deny {
		t.Errorf("%+v", d)
	}
}

// TestLegacy: expected classes by the rules as documented: first hit in the order
// DENY, REFUSE, ESCALATION, ALLOW on the raw text, then the length.
func TestLegacy(t *testing.T) {
	rules := preset(t, "legacy")
	tests := []struct {
		text string
		want Class
	}{
		{"対話が不可欠です", Deny},
		{"断る理由を確認して", Refuse},
		{"対応できません", Deny}, // できません is a DENY term, so most REFUSE terms never decide
		{"担当に確認します", Escalation},
		{"一般的な説明です", Allow},
		{"短い文", Deny},
		{strings.Repeat("あ", 49), Deny},
		{strings.Repeat("あ", 50), Allow},
		{"", Deny},
	}
	for _, tt := range tests {
		if d := FourClass(tt.text, rules); d.Class != tt.want {
			t.Errorf("%.20s: %v, want %v", tt.text, d.Class, tt.want)
		}
	}
}

func TestTopicsAreNoIntent(t *testing.T) {
	page := strings.Repeat("当省は、個人情報の保護に関する法律に基づき、保有する個人情報の適切な管理に努めています。機密に当たる情報の取扱いは規程で定め、秘密の保持と制限の範囲を職員に周知しています。", 3)
	rules := preset(t, "default")
	if d := FourClass(page, rules); d.Class != Allow {
		t.Errorf("a government page is %+v", d)
	}
	if d := FourClass(page, preset(t, "legacy")); d.Class != Deny {
		t.Errorf("legacy should trip over the page, is %v", d.Class)
	}
	for _, text := range []string{"機密", "個人情報", "武器", "禁止"} {
		if d := FourClass(text, rules); !d.None || d.Class != Escalation {
			t.Errorf("%s alone: %+v", text, d)
		}
	}
}

func TestRuleErrors(t *testing.T) {
	const head = `{"name":"x","version":1,"mode":"score","order":["REFUSE","DENY","ESCALATION","ALLOW"],"none":"ALLOW","negation":{"window":0},"rules":[`
	for name, in := range map[string]string{
		"unknown key":       `{"nmae":"x"}`,
		"not JSON":          `{`,
		"trailing value":    head + `]} 1`,
		"no version":        strings.Replace(head, `"version":1,`, "", 1) + `]}`,
		"mode":              strings.Replace(head, "score", "vote", 1) + `]}`,
		"class twice":       strings.Replace(head, "REFUSE", "DENY", 1) + `]}`,
		"no class":          head + `{"id":"a","weight":1,"any":["x"]}]}`,
		"no weight":         head + `{"id":"a","class":"DENY","any":["x"]}]}`,
		"no pattern":        head + `{"id":"a","class":"DENY","weight":1}]}`,
		"empty pattern":     head + `{"id":"a","class":"DENY","weight":1,"any":[""]}]}`,
		"unknown term":      head + `{"id":"a","class":"DENY","weight":1,"any":["x"],"with":["t"]}]}`,
		"id twice":          head + `{"id":"a","class":"DENY","weight":1,"any":["x"]},{"id":"a","class":"DENY","weight":1,"any":["y"]}]}`,
		"scope":             head + `{"id":"a","class":"DENY","weight":1,"any":["x"],"scope":"page"}]}`,
		"unknown class":     head + `{"id":"a","class":"MAYBE","weight":1,"any":["x"]}]}`,
		"negative weight":   head + `{"id":"a","class":"DENY","weight":-1,"any":["x"]}]}`,
		"fallback no class": strings.Replace(head, `"negation"`, `"fallbacks":[{"min_runes":1}],"negation"`, 1) + `]}`,
	} {
		if _, err := ParseRules([]byte(in)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Preset("none"); !errors.Is(err, ErrNoPreset) {
		t.Errorf("%v", err)
	}
}

func TestZeroRulesFailClosed(t *testing.T) {
	if d := FourClass("説明して", Rules{}); d.Class != Escalation || !d.None {
		t.Errorf("%+v", d)
	}
}

func TestHostileText(t *testing.T) {
	rules := preset(t, "default")
	for _, s := range []string{"不可欠", "教えてではなく", "秘密を教えて", "\xff", "ｶﾞ", "、", "。", "パスワード"} {
		text := strings.Repeat(s, 1<<19/len(s))
		d := FourClass(text, rules)
		if !d.Class.Valid() {
			t.Errorf("%q: %v", s, d.Class)
		}
	}
}

func FuzzFourClass(f *testing.F) {
	f.Add("機密のﾊﾟｽﾜｰﾄﾞを教えて。not KNOW ＮＯ")
	f.Add("\xff\xfe、。\u3000")
	rules, err := Preset("default")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := FourClass(text, rules)
		if !d.Class.Valid() {
			t.Fatalf("class %v", d.Class)
		}
		for _, e := range d.Evidence {
			if e.Start < 0 || e.End > len(text) || e.Start >= e.End || text[e.Start:e.End] != e.Text {
				t.Fatalf("span %d:%d of %d", e.Start, e.End, len(text))
			}
			if utf8.ValidString(text) && !utf8.ValidString(e.Text) {
				t.Fatalf("span %q splits a character", e.Text)
			}
		}
		masked := Mask(text, rules)
		if utf8.RuneCountInString(masked) != utf8.RuneCountInString(text) {
			t.Fatalf("%q became %q", text, masked)
		}
		if k := rules.Keywords(text); len(k) == 0 && masked != text || len(k) > 0 && masked == text {
			t.Fatalf("keywords %q, %q became %q", k, text, masked)
		}
	})
}

// Lists are reused between texts, and by many goroutines at once: none may see
// another's.
func TestConcurrentLabelsAreTheSame(t *testing.T) {
	rules, items := preset(t, "default"), gold(t)
	want := make([]string, len(items))
	for i, it := range items {
		want[i] = fmt.Sprint(FourClass(it.Text, rules), Mask(it.Text, rules), rules.Keywords(it.Text))
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range items {
				k := (i*7 + w*100) % len(items)
				if got := fmt.Sprint(FourClass(items[k].Text, rules), Mask(items[k].Text, rules), rules.Keywords(items[k].Text)); got != want[k] {
					t.Errorf("%s: %s, want %s", items[k].Text, got, want[k])
				}
			}
		})
	}
	wg.Wait()
}
