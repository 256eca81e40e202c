package langid

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDetect(t *testing.T) {
	d, err := New(DefaultOptions())
	require.NoError(t, err)
	tests := []struct{ name, text, want string }{
		{"prose", "港の朝は早い。夜明け前の岸壁には人の声が満ちている。", "ja"},
		{"katakana only", "スマートフォンアプリ", "ja"},
		{"half-width katakana", "ﾊﾟｽﾜｰﾄﾞ", "ja"},
		{"kanji only, Japanese forms", "東京都交通局運転士採用試験実施要項", "ja"},
		{"kanji with one kana in ten", "防衛省設置法施行令第二条の規定", "ja"},
		{"simplified Chinese", "这是一个关于港口运输的说明文件，请您仔细阅读。", "zh"},
		{"traditional Chinese", "這是一份關於港口運輸的說明文件，請您仔細閱讀。", "zh"},
		{"Korean", "항구의 아침은 일찍 시작된다.", "ko"},
		{"English", "The harbour wakes early, long before dawn.", "en"},
		{"Japanese with English words", "このプログラムは GitHub の repository から download できます。", "ja"},
		{"digits", "2024-01-01 12:30", ""},
		{"empty", "", ""},
		{"symbols", "★☆■", ""},
	}
	for _, tt := range tests {
		got, sure := d.Detect(tt.text)
		require.Equal(t, tt.want, got, tt.name)
		if tt.want == "" {
			require.Zero(t, sure)
		} else {
			require.Positive(t, sure, tt.name)
		}
	}
}

func TestTablesAreDisjoint(t *testing.T) {
	for _, r := range japanOnly {
		require.NotContains(t, chinaOnly, string(r))
	}
}

func TestOptions(t *testing.T) {
	for name, f := range map[string]func(*Options){
		"one language":     func(o *Options) { o.Languages = []string{"ja"} },
		"one twice":        func(o *Options) { o.Languages = []string{"ja", "JA"} },
		"unknown language": func(o *Options) { o.Languages = []string{"ja", "xx"} },
		"kana":             func(o *Options) { o.MinKana = 2 },
		"runes":            func(o *Options) { o.MaxRunes = 0 },
	} {
		o := DefaultOptions()
		f(&o)
		_, err := New(o)
		var oe *OptionError
		require.ErrorAs(t, err, &oe, name)
	}
}
