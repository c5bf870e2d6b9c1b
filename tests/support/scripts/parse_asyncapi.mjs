// Prints what AsyncAPI's own parser says of a document, as JSON: node parse_asyncapi.mjs NODE_MODULES FILE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, file] = process.argv.slice(2);
const { Parser } = createRequire(`${modules}/`)("@asyncapi/parser");
const { diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
console.log(JSON.stringify(diagnostics.map(({ code, path }) => ({ code, path }))));
