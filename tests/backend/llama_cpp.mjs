// What a real llama.cpp makes of GGUF files: node llama_cpp.mjs REQUEST, answered in a line of JSON
// for each file.
// library: its index.js; files: the models; adapter: a LoRA in GGUF, or null; text: what is read;
// count: tokens to generate, each the likeliest.
const {library, files, adapter, text, count} = JSON.parse(process.argv[2]);
const {getLlama, LlamaLogLevel} = await import(library);
// One thread: several wait for each other in a loop, which on a busy machine takes minutes.
const llama = await getLlama({
  gpu: false,
  build: "never",
  logLevel: LlamaLogLevel.error,
  maxThreads: 1,
});

/** The likeliest token behind each of these. */
async function follow(sequence, tokens) {
  const results = await sequence.controlledEvaluate(
    tokens.map((token) => [token, {generateNext: {token: true}}]),
  );
  return results.map((result) => result.next.token);
}

for (const file of files) {
  const model = await llama.loadModel({modelPath: file, gpuLayers: 0});
  const context = await model.createContext({
    contextSize: 512,
    sequences: 1,
    threads: 1,
    lora: adapter ? {adapters: [{filePath: adapter, scale: 1}]} : undefined,
  });
  const sequence = context.getSequence();
  const tokens = [...model.tokenize(text, true, "trimLeadingSpace")];
  if (model.tokens.shouldPrependBosToken) tokens.unshift(model.tokens.bos);
  const top = await follow(sequence, tokens);
  const answer = [top.at(-1)];
  while (answer.length < count && answer.at(-1) !== model.tokens.eos) {
    answer.push(...(await follow(sequence, [answer.at(-1)])));
  }
  console.log(JSON.stringify({tokens, top, answer, text: model.detokenize(answer)}));
  await model.dispose();
}
process.exit(0);
