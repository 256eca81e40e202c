// Package peftpattern reads and writes the alpha_pattern of a PEFT adapter's
// settings.
//
// What it does not do: it knows neither the other settings nor the adapter's
// tensors, and expressions are Go's, which lack look-around and back references.
package peftpattern
