// Runs the client generated from IO's contract (sender.yaml, unchanged)
// against a running Araldo, and checks every answer against the contract's
// own schemas. Ends with status 1 and the reason at the first difference.
//
//   node check.mjs URL KEY REGISTERED UNREGISTERED
//
// REGISTERED and UNREGISTERED are fiscal codes.

import assert from "node:assert/strict";
import SwaggerParser from "@apidevtools/swagger-parser";
import Ajv from "ajv-draft-04";
import addFormats from "ajv-formats";
import { Api } from "./generated/sender.js";

const [url, key, registered, unregistered] = process.argv.slice(2);
assert(unregistered, "usage: node check.mjs URL KEY REGISTERED UNREGISTERED");

const contract = await SwaggerParser.dereference("sender.yaml");
const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));

/** Fails unless `body` is what the contract declares under `name`. */
function conforms(name, body) {
  const validate = ajv.compile(contract.definitions[name]);
  assert(validate(body), `${name}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`);
}

/** Calls and returns the answer whatever its status: the client throws it. */
const call = (promise) => promise.catch((answer) => answer);

function client(subscriptionKey) {
  return new Api({
    baseUrl: `${url}${contract.basePath}`,
    baseApiParams: {
      headers: { [contract.securityDefinitions.SubscriptionKey.name]: subscriptionKey },
    },
  });
}

const api = client(key);
const content = {
  subject: "Il menu della mensa",
  markdown: "Pasta al pomodoro, verdure di stagione e frutta, pane e acqua di fonte. ".repeat(2),
};

const profile = await call(api.profiles.getProfile(registered));
assert.equal(profile.status, 200);
conforms("LimitedProfile", profile.data);
assert.equal(profile.data.sender_allowed, true);
const byPost = await call(api.profiles.getProfileByPost({ fiscal_code: registered }));
assert.deepEqual(byPost.data, profile.data);

const nobody = await call(api.profiles.getProfile(unregistered));
assert.equal(nobody.status, 404);
conforms("ProblemJson", nobody.error);

const inPath = await call(api.messages.submitMessageforUser(registered, { content }));
assert.equal(inPath.status, 201);
conforms("CreatedMessage", inPath.data);
const location = inPath.headers.get("location");
assert.equal(location, `${contract.basePath}/messages/${registered}/${inPath.data.id}`);

const inBody = await call(
  api.messages.submitMessageforUserWithFiscalCodeInBody({
    content,
    fiscal_code: registered,
    time_to_live: 7200,
  }),
);
assert.equal(inBody.status, 201);

/** Polls, as the contract has it, until the message leaves ACCEPTED. */
async function settled(recipient, id) {
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await call(api.messages.getMessage(recipient, id));
    assert.equal(answer.status, 200);
    conforms("ExternalMessageResponseWithContent", answer.data);
    if (answer.data.status !== "ACCEPTED") return answer.data;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`message ${id} stays ACCEPTED`);
}

for (const { data } of [inPath, inBody]) {
  const message = await settled(registered, data.id);
  assert.equal(message.status, "PROCESSED");
  assert.equal(message.message.content.subject, content.subject);
}

const toNobody = await call(api.messages.submitMessageforUser(unregistered, { content }));
assert.equal(toNobody.status, 201);
const rejected = await settled(unregistered, toNobody.data.id);
assert.equal(rejected.status, "REJECTED");
assert.equal(rejected.rejection_reason, "USER_NOT_FOUND");

const short = { ...content, subject: "corto" };
const invalid = await call(api.messages.submitMessageforUser(registered, { content: short }));
assert.equal(invalid.status, 400);
conforms("ProblemJson", invalid.error);
const missing = await call(api.messages.getMessage(registered, "01BX9NSMKVXXS5PSP2FATZMYYY"));
assert.equal(missing.status, 404);
const stranger = await call(client("wrong").profiles.getProfile(registered));
assert.equal(stranger.status, 401);

process.stdout.write("the generated client and Araldo agree\n");
