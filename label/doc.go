// Package label names the four classes of a judge and labels requests by rules
// that are data: FourClass returns a class together with the evidence for it.
//
//	class.go     Class
//	ruleset.go   RuleSet, the JSON form of rules; presets
//	compile.go   Rules, compiled once and used by many goroutines
//	fold.go      width, case and kana folding with a way back to the original
//	fourclass.go Decision and its evidence
//	mask.go      the keywords of a text, and the text without them
//	gold.go      the bundled hand-labelled requests; assess.go how rules fare on them
//	balance.go   Balance
//
// Intent comes before topic: terms such as 機密 or 個人情報 give no class by
// themselves; a rule fires on what is asked to be done, with a term in the same
// sentence. A text in which no rule fires goes to a person.
//
// What it does not do: understand. Rules see words in a sentence, so an indirect
// request without any of their words is not recognised, and figures on the
// bundled requests, which the authors of the rules wrote too, are no independent
// measurement. On those written after the rules, two in three get the wrong class,
// nearly always ESCALATION: rules are a baseline and a safety net, not a judge. The
// vocabulary is Japanese, with a small English set.
package label
