// Package harness runs benchmark tasks over a language model known only as a
// Scorer or Generator: multiple choice, exact match of generated text, and
// perplexity. Each result carries the number of items and a standard error.
//
// The rules are those of lm-evaluation-harness
// (https://github.com/EleutherAI/lm-evaluation-harness): acc takes the choice with
// the largest summed log-probability, acc_norm divides it by the characters of the
// choice (Unicode code points, not bytes), ties go to the first choice; trailing
// white space of the context belongs to the continuation; context and continuation
// are encoded together and cut at the context's token count.
//
// Files: scorer.go the interfaces, encode.go contexts and continuations, choice.go
// multiple choice, question.go the file format, knowledge.go the bundled Japanese
// set, generation.go exact match, perplexity.go windows over a corpus, rolling.go
// perplexity of single texts, stderr.go standard errors.
//
// What it does not do: it reads no task definitions of other harnesses, downloads no
// data, draws no random few-shot examples, and scores no free text beyond exact match.
package harness
