// Package ahocorasick finds all occurrences of many byte strings in one pass
// (Aho and Corasick, Efficient String Matching, CACM 18(6), 1975), as a full
// transition table over the bytes that patterns use.
//
// What it does not do: fold, decode or tokenise text (callers match over folded
// text and check context themselves), match regular expressions, or hold
// dictionaries whose table exceeds MaxTable; New refuses those.
package ahocorasick
