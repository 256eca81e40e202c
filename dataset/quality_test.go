package dataset

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const prose = `港の朝は早い。夜明け前の岸壁には、荷を積み下ろす人たちの声と、冷たい潮の匂いが満ちている。沖に停泊していた貨物船が、引き船に押されながらゆっくりと近づいてくるころ、倉庫の扉が開き、荷車が列を作りはじめる。
船の到着が一時間遅れれば、トラックの運転手は待たされ、工場に届くはずだった部品も遅れる。だから港で働く人々は、天気と潮の流れを誰よりも気にかけている。予報が外れた日には、古い日誌を開き、同じような風が吹いた年のことを調べる者もいた。
近ごろは、船の位置を衛星で確かめ、到着の時刻を計算機が知らせてくれるようになった。それでも最後に決めるのは人である。霧が濃ければ入港を見合わせ、波が高ければ作業を止める。急ぐことと、安全であることのどちらかを選ばなければならないとき、港は迷わず後のほうを選んできた。`

func TestProseOfAnyLengthPasses(t *testing.T) {
	runes := []rune(prose)
	for _, n := range []int{50, 80, 120, 200, 300, len(runes)} {
		require.GreaterOrEqual(t, Quality(string(runes[:n])), 0.7, "first %d characters", n)
	}
}

// TestLengthNeutral reads real prose from a JSON Lines file and cuts it to many
// lengths.
func TestLengthNeutral(t *testing.T) {
	path := os.Getenv("BOREA_PROSE")
	if path == "" {
		t.Skip("BOREA_PROSE names no JSON Lines file of Japanese prose")
	}
	total, passed, legacy := map[int]int{}, map[int]int{}, map[int]int{}
	lengths := []int{50, 100, 200, 500, 1000, 2000, 5000}
	rng := rand.New(rand.NewPCG(1, 1))
	for s, err := range ReadFile(path, DefaultReadOptions()) {
		require.NoError(t, err)
		runes := []rune(s.Text)
		for _, n := range lengths {
			for k := 0; k < 8 && len(runes) >= n; k++ {
				at := rng.IntN(len(runes) - n + 1)
				text := string(runes[at : at+n])
				total[n]++
				if Quality(text) >= 0.7 {
					passed[n]++
				} else if os.Getenv("BOREA_SHOW") != "" && total[n]%7 == 0 {
					p := profileOf(text)
					t.Logf("%d: noise %.2f script %.2f sent %.2f rep %.2f gram %.2f plate %.2f: %.150s", n, p.noise(), p.scripts(), p.sentences(), p.repetition(), p.grammar(), p.boilerplate(), text)
				}
				if LegacyQuality(text) >= 0.7 {
					legacy[n]++
				}
			}
		}
	}
	for _, n := range lengths {
		share := ratio(passed[n], total[n])
		t.Logf("%5d characters: %5d texts, %.4f pass, legacy %.4f", n, total[n], share, ratio(legacy[n], total[n]))
		require.Greater(t, share, 0.99)
	}
}

func TestGarbageFails(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	random := func(n int, from, to rune) string {
		var b strings.Builder
		for i := range n {
			b.WriteRune(from + rune(rng.IntN(int(to-from))))
			if i%23 == 22 {
				b.WriteRune('。')
			}
		}
		return b.String()
	}
	tests := map[string]string{
		"one character":        strings.Repeat("あ", 300),
		"one word":             strings.Repeat("最高です。", 60),
		"one sentence":         strings.Repeat("この商品はとても良いので皆さんにおすすめします。", 12),
		"random kana":          random(300, 'あ', 'ん'),
		"random kanji":         random(300, 0x4e00, 0x9fa0),
		"random katakana":      random(300, 'ア', 'ン'),
		"menu":                 strings.Repeat("ホーム | 会社概要 | 採用情報 | お問い合わせ | サイトマップ\nログイン 会員登録 利用規約 プライバシーポリシー\n", 2),
		"notice":               "Copyright © 2020 All Rights Reserved. 無断転載を禁じます。\nプライバシーポリシー 利用規約 特定商取引法に基づく表記 お問い合わせ\nページの先頭へ",
		"wrongly decoded":      "縺薙ｌ縺ｯ譁・ｭ怜喧縺代＠縺滓枚遶縺ｧ縺吶ゅ◎縺ｮ縺溘ａ隱ｭ繧縺薙→縺後〒縺阪∪縺帙ｓ縲よ枚蟄励さ繝ｼ繝峨ｒ逶ｴ縺励※縺上□縺輔＞縲",
		"replacement":          "これは\ufffd\ufffdけた\ufffd章です。\ufffd\ufffd\ufffdには読\ufffdません。もう一度\ufffd\ufffdしてください。\ufffd\ufffd\ufffdします。",
		"table of numbers":     strings.Repeat("2024 1,203 4,556 88.2 ▲1.3 △0.4\n", 8),
		"ASCII art":            strings.Repeat("┌──┐│＃│└──┘▲▼●■\n", 12),
		"list without grammar": strings.Repeat("東京都千代田区霞が関 大阪府大阪市北区 愛知県名古屋市中区 北海道札幌市中央区 福岡県福岡市博多区 宮城県仙台市青葉区 広島県広島市中区\n", 1),
		"symbols":              strings.Repeat("★☆送料無料☆★今すぐ購入！！▼▼▼クリックしてください▼▼▼", 4),
		"too short":            "短い。",
		"empty":                "",
	}
	for name, text := range tests {
		require.Less(t, Quality(text), 0.7, "%s scores %.2f", name, Quality(text))
	}
}

func TestLegacyQuality(t *testing.T) {
	tests := []struct {
		name, text string
		want       float64
	}{
		{"nine characters", "あいうえおかきくけ", 0},
		// 60 characters: length .3, ratio 58/60 of .4; 2 marks exceed 60/50; 3/60 distinct
		{"two marks in 60", strings.Repeat("あ", 29) + "。" + strings.Repeat("い", 29) + "。", 0.3 + 0.4*58/60.0},
		// 100 characters with two marks: the bonus
		{"two marks in 100", strings.Repeat("あ", 49) + "。" + strings.Repeat("い", 49) + "。", 0.3 + 0.4*98/100.0 + 0.2},
		{"ten distinct", "あいうえおかきくけこ", 0.4 + 0.1},
		{"501 characters", strings.Repeat("あ", 501), 0.2 + 0.4},
		{"1001 characters", strings.Repeat("あ", 1001), 0.1 + 0.4},
	}
	for _, tt := range tests {
		require.InDelta(t, tt.want, LegacyQuality(tt.text), 1e-12, tt.name)
	}
}

func TestBoilerplateRunes(t *testing.T) {
	require.Equal(t, 3, boilerplateRunes("ホームは家"))
	require.Equal(t, len([]rune("個人情報保護方針")), boilerplateRunes("個人情報保護方針"), "overlaps count once")
}
