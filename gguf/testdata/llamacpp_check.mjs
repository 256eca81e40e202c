// Loads GGUF files with llama.cpp through node-llama-cpp 3.22.1 and checks them:
// - every file loads, and tokenises llama.cpp's own Phi-3 cases as they should be;
// - F16 and F32 files of the bundled model generate, greedily, the tokens that
//   transformers generates (golden_paths.json): 42 of a chat, then the end, and 64 of
//   prose; other types generate something.
//
// Usage: node llamacpp_check.mjs NPM_DIRECTORY FILE.gguf ...
// NPM_DIRECTORY holds the package: npm i --ignore-scripts --prefix NPM_DIRECTORY node-llama-cpp@3.22.1
// Exit code 1 if anything differs.
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";
import fs from "node:fs";
import path from "node:path";

const [npm, ...files] = process.argv.slice(2);
const here = import.meta.dirname;
const entry = createRequire(path.resolve(npm, "x.js")).resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));

const golden = JSON.parse(fs.readFileSync(path.join(here, "golden_paths.json")));
const vocab = path.join(here, "../../dataset/tokenizer/testdata/ggml-vocab-phi-3.gguf");
const separator = "\n__ggml_vocab_test__\n";
const texts = fs.readFileSync(vocab + ".inp", "utf8").split(separator).slice(0, -1);
const ids = fs.readFileSync(vocab + ".out", "utf8").split("\n").slice(0, texts.length)
    .map((line) => line.trim().split(/\s+/).filter(Boolean).map(Number));

async function generate(model, prompt, limit) {
    const context = await model.createContext({contextSize: 2048, threads: 1});
    const out = [];
    for await (const token of context.getSequence().evaluate(prompt, {temperature: 0})) {
        out.push(token);
        if (out.length === limit) break;
    }
    await context.dispose();
    return out;
}

const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
const llama = await getLlama({build: "never", gpu: false, logLevel: LlamaLogLevel.error});
let failed = false;
for (const file of files) {
    const model = await llama.loadModel({modelPath: path.resolve(file)});
    const tokenised = texts.filter((t, i) => same(model.tokenize(t), ids[i])).length;
    let ok = tokenised === texts.length;
    const type = model.fileInfo.metadata.general.file_type;
    const chat = await generate(model, golden.chat.prompt, 64);
    const plain = await generate(model, golden.plain.prompt, golden.plain.output.length);
    const chatSame = same(chat, golden.chat.output.slice(0, -1));
    const plainSame = same(plain, golden.plain.output);
    if (type === 0 || type === 1) ok &&= chatSame && plainSame;
    else ok &&= chat.length > 0;
    console.log(`${path.basename(file)}: file type ${type}, ${tokenised} of ${texts.length} texts tokenised, ` +
        `chat ${chat.length} tokens ${chatSame ? "as" : "other than"} golden, prose ${plain.length} tokens ${plainSame ? "as" : "other than"} golden${ok ? "" : " FAILED"}`);
    failed ||= !ok;
    await model.dispose();
}
process.exit(failed ? 1 : 0);
