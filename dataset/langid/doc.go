// Package langid tells the language of a text for dataset.Clean: a script test
// first, then lingua-go for what scripts cannot decide. It is a package of its
// own because a program that imports it carries some 120 MB of language models.
//
// What it does not do: split mixed text, or tell kanji-only Japanese from Chinese
// where no character is peculiar to either; then lingua-go decides, and it leans
// to Chinese. lingua-go keeps its models for the life of the process.
package langid
