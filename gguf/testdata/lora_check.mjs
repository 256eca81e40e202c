// Applies GGUF adapters in llama.cpp, through node-llama-cpp 3.22.1, and compares
// what the model then says, greedily, with the merged model in llama.cpp and with
// our own forward pass of the merged model.
//
// Usage: go run ./gguf/testdata/lora -out DIR; node lora_check.mjs NPM_DIRECTORY DIR
// Exit code 1 if a token differs, or if the adapter changes nothing.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";
import fs from "node:fs";
import path from "node:path";

const [npm, dir] = process.argv.slice(2);
const entry = createRequire(path.resolve(npm, "x.js")).resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
const llama = await getLlama({build: "never", gpu: false, logLevel: LlamaLogLevel.error});
const load = (name) => llama.loadModel({modelPath: path.resolve(dir, name)});

async function generate(model, prompt, lora) {
    const context = await model.createContext({contextSize: 2048, threads: 1, ...(lora ? {lora: path.resolve(dir, lora)} : {})});
    const out = [];
    for await (const token of context.getSequence().evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
        out.push(token);
        if (out.length === 64 || model.isEogToken(token)) break;
    }
    await context.dispose();
    return out;
}

const agree = (a, b) => { let n = 0; while (n < a.length && n < b.length && a[n] === b[n]) n++; return n; };
let failed = false;
const base = await load("base.gguf");
for (const name of ["plain", "rslora"]) {
    const ours = JSON.parse(fs.readFileSync(path.resolve(dir, name + ".json")));
    const merged = await load(name + "-merged.gguf");
    for (const kind of ["chat", "plain"]) {
        const {prompt, output} = ours[kind];
        const bare = await generate(base, prompt);
        const folded = await generate(merged, prompt);
        for (const type of ["F32", "F16"]) {
            const with_ = await generate(base, prompt, `${name}-${type}.gguf`);
            const ok = agree(with_, output) === output.length && agree(with_, folded) === folded.length && agree(with_, bare) < bare.length;
            failed ||= !ok;
            console.log(`adapter ${name} ${type}, ${kind}: ${with_.length} tokens, ${agree(with_, folded)} as merged in llama.cpp, ` +
                `${agree(with_, output)} of ${output.length} as our forward pass, ${agree(with_, bare)} as without adapter${ok ? "" : " FAILED"}`);
        }
    }
    await merged.dispose();
}
process.exit(failed ? 1 : 0);
