// Package hfconfig reads config.json and generation_config.json of a Phi-3
// model directory strictly: what the engine does not implement is refused by
// name instead of being ignored.
//
// What it does not do: it reads no weights and no other model type.
package hfconfig
