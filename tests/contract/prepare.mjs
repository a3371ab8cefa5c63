// Makes of IO's citizen contracts (citizen/*.yaml, unchanged) what common
// tools read: generated/<name>.json.
//
// Two things of theirs are not OpenAPI: `x-one-of` beside `allOf` means "one
// of" to their generator, and two schemas live at an address. Nothing is
// fetched here: what those two say is written down below.

import { mkdirSync, writeFileSync } from "node:fs";
import SwaggerParser from "@apidevtools/swagger-parser";

const ELSEWHERE = {
  ServiceId: { type: "string", minLength: 1 },
  ProblemJson: {
    type: "object",
    properties: {
      type: { type: "string", format: "uri" },
      title: { type: "string" },
      status: { type: "integer", minimum: 100, maximum: 599 },
      detail: { type: "string" },
      instance: { type: "string", format: "uri" },
    },
  },
};

function mend(node) {
  if (Array.isArray(node)) return node.map(mend);
  if (node === null || typeof node !== "object") return node;
  if (typeof node.$ref === "string" && node.$ref.startsWith("https://")) {
    return ELSEWHERE[node.$ref.split("/").pop()];
  }
  const mended = Object.fromEntries(Object.entries(node).map(([name, value]) => [name, mend(value)]));
  if (mended["x-one-of"]) {
    mended.anyOf = mended.allOf;
    delete mended.allOf;
    delete mended["x-one-of"];
  }
  return mended;
}

mkdirSync("generated", { recursive: true });
for (const name of ["communication", "identity", "catalogue"]) {
  const contract = mend(await SwaggerParser.parse(`citizen/${name}.yaml`));
  writeFileSync(`generated/${name}.json`, JSON.stringify(contract, null, 2));
}
