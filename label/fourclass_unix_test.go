//go:build unix

package label

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manyRules adds rules to the default ones up to n: four words each, drawn from those
// of the text and from invented compounds, so that some occur and most do not.
func manyRules(b *testing.B, n int) Rules {
	b.Helper()
	set := preset(b, "default").Set()
	rng := rand.New(rand.NewPCG(1, 500))
	chars := []rune("安全運転輸送防衛宇宙航空衛星機体整備点検許可承認資料内部記録人事契約調査事故警備監視通信電力港湾道路鉄道列車")
	for i := len(set.Rules); i < n; i++ {
		r := Rule{ID: fmt.Sprintf("made.%03d", i), Class: Classes()[i%Count], Weight: 1}
		for range 4 {
			word := make([]rune, 2+rng.IntN(4))
			for k := range word {
				word[k] = chars[rng.IntN(len(chars))]
			}
			r.Any = append(r.Any, string(word))
		}
		if i%3 == 0 {
			r.With = []string{"secret"}
		}
		set.Rules = append(set.Rules, r)
	}
	rules, err := Compile(set)
	if err != nil {
		b.Fatal(err)
	}
	return rules
}

func BenchmarkFourClass500Rules(b *testing.B) {
	var requests strings.Builder
	for _, it := range gold(b) {
		requests.WriteString(it.Text + "\n")
	}
	prose := `港湾の運営では、船舶の入港予定と荷役の計画を合わせる必要があり、担当者は天候の変化を確かめながら作業の順序を決めていく。
コンテナターミナルでは、クレーンの運転士とトラックの運転手が無線で連絡を取り合い、積み下ろしの間隔を数分の単位で整えている。
二〇二四年の統計によれば、国内の貨物輸送量はおよそ４３億トンで、そのうち自動車が九割を占め、内航海運と鉄道がこれに続いた。
ロケットの打ち上げを控えた射場では、風速、雷、周辺海域の船舶の動きを毎時確認し、条件が一つでも外れれば翌日に延期される。
`
	for _, c := range []struct{ name, text string }{
		{"prose", strings.Repeat(prose, 60)},
		{"requests dense in keywords", requests.String()},
	} {
		rules := manyRules(b, 500)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			found, before := 0, cpuTime(b)
			for b.Loop() {
				found = len(FourClass(c.text, rules).Evidence)
			}
			b.ReportMetric(float64(len(c.text)*b.N)/1e6/(cpuTime(b)-before).Seconds(), "MB/cpu-s")
			b.ReportMetric(float64(found)/float64(len(c.text))*1e3, "matches/kB")
		})
	}
}

// cpuTime is what the process has used, garbage collection included: on a machine that
// others use too, the clock on the wall says little about a core's speed.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
