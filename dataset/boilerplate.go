package dataset

import (
	"sync"
	"unicode/utf8"

	"github.com/borea-go/borea/internal/ahocorasick"
)

// boilerplate lists phrases of navigation, notices and advertising that prose
// does not hold in any number.
var boilerplate = []string{
	"ホーム", "トップページ", "サイトマップ", "お問い合わせ", "ログイン", "ログアウト", "会員登録", "新規登録", "マイページ",
	"プライバシーポリシー", "個人情報保護方針", "利用規約", "特定商取引法", "会社概要", "採用情報", "よくある質問", "ご利用ガイド",
	"続きを読む", "もっと見る", "詳しくはこちら", "詳細はこちら", "こちらをクリック", "クリックしてください", "ページの先頭へ", "前のページ", "次のページ",
	"関連記事", "人気記事", "おすすめ記事", "記事一覧", "カテゴリー", "アーカイブ", "コメントを残す", "シェアする", "ツイート", "フォローする",
	"無断転載", "無断複製", "All Rights Reserved", "All rights reserved", "Copyright", "©", "JavaScriptを有効に", "Cookieを", "ブラウザの設定",
	"送料無料", "カートに入れる", "今すぐ購入", "お買い得", "期間限定", "スポンサーリンク", "メルマガ登録", "Facebook", "Twitter", "Instagram", "LINEで送る", "RSS",
}

var boilerplateMatcher = sync.OnceValues(func() (*ahocorasick.Matcher, error) { return ahocorasick.New(boilerplate) })

// boilerplateRunes counts the characters that lie in a phrase, overlaps once.
func boilerplateRunes(text string) (n int) {
	matcher, err := boilerplateMatcher()
	if err != nil { // only with a list that exceeds MaxTable
		return 0
	}
	b, covered := []byte(text), 0
	matcher.Scan(b, func(m ahocorasick.Match) bool {
		if from := max(m.Start, covered); from < m.End {
			n += utf8.RuneCount(b[from:m.End])
			covered = m.End
		}
		return true
	})
	return n
}
