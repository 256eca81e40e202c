// Package borea is the root of a library that turns a small open language
// model into a domain-tuned, safety-judged, quantised one.
//
// The root holds no code. Import the package a task needs:
//
//   - dataset: samples, JSONL, cleaning, deduplication, synthetic data
//   - dataset/tokenizer: the Phi-3 tokenizer and chat template
//   - crawl: a polite crawler
//   - label: four-class rules with evidence
//   - split: stratified splits that keep groups whole
//   - qlora: the model, the trainer, adapters, merging
//   - classifier: focal loss, a head, training and prediction
//   - so8t: rotation gates and their regulariser
//   - gguf: reading, writing, quantising and converting GGUF files
//   - eval: metrics, bounds and reports
//   - checkpoint: a store that survives crashes
//
// The program examples/fullpipeline uses all of them in turn.
//
// What it does not do: train full weights, run architectures other than Phi-3,
// or reach the network outside crawl and dataset/hub.
package borea
