package langid

import (
	"strings"
	"unicode"
)

// counts of letters by script.
type counts struct {
	kana, han, hangul, other int
	japan, china             int // Han characters that only one of the two writes so
}

func (c counts) letters() int { return c.kana + c.han + c.hangul + c.other }

func count(text string) (c counts) {
	for _, r := range text {
		switch {
		case r < 0x80:
			if r|0x20 >= 'a' && r|0x20 <= 'z' {
				c.other++
			}
		case r >= 0x3041 && r <= 0x30FF && r != '・' || r >= 0xFF66 && r <= 0xFF9F:
			c.kana++
		case r >= 0xAC00 && r <= 0xD7A3 || r >= 0x1100 && r <= 0x11FF:
			c.hangul++
		case unicode.Is(unicode.Han, r):
			c.han++
			if strings.ContainsRune(japanOnly, r) {
				c.japan++
			} else if strings.ContainsRune(chinaOnly, r) {
				c.china++
			}
		case unicode.IsLetter(r):
			c.other++
		}
	}
	return c
}

// japanOnly are characters simplified in Japan in a way that neither mainland
// China nor Taiwan shares, and characters made in Japan.
const japanOnly = "気広駅円沢塩圧囲栄桜応価壊絵覚観関帰県検験鉄権顕砕済雑実処焼図庁聴転伝読発変様両労録対売総単続従専戦働込峠枠畑辻拡択渋縦団歯竜"

// chinaOnly are characters simplified in mainland China in a way that Japan does
// not share.
const chinaOnly = "这们说时东业产为书见车长门问间马鱼鸟龙头买卖让认识话语请谁课谢还进远运过选连边达动务劳华单卢卫厂历压县发变叶号听员响图圆场块报夺奋妇宁实宝审对导将岁币师带帮并广庆应开张归录态总戏战户扩护拥择损换据敌无显条极构标样桥检欢气汉济热点烟爱环现电疗盘确种积称筑类红约级纪线组细织终绍经结给统继续维绿缩网罗职联脑节艺范药虑虽规视觉觉观计订"
