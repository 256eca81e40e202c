// Package hfconfig reads config.json and generation_config.json of a Phi-3
// model directory strictly: what the engine does not implement is refused by
// name instead of being ignored.
//
// Files: hfconfig.go the configuration, parse.go sizes and tokens, rope.go rotary
// scaling in its two spellings.
//
// What it does not do: it reads no weights and no other model type, and ignores
// dropout and initialisation settings.
package hfconfig
