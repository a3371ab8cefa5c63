// Runs the clients generated from IO's citizen contracts against a running
// Araldo, and checks every answer against the contracts' own schemas. Ends
// with status 1 and the reason at the first difference.
//
//   node check-citizen.mjs URL TOKEN SERVICE
//
// TOKEN is of a citizen without a profile; SERVICE is registered. Messages
// are sent by whoever starts this: the citizen waits for two.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import SwaggerParser from "@apidevtools/swagger-parser";
import Ajv from "ajv-draft-04";
import addFormats from "ajv-formats";
import { Api as Communication } from "./generated/communication.js";
import { Api as Identity } from "./generated/identity.js";
import { Api as Catalogue } from "./generated/catalogue.js";

const [url, token, service] = process.argv.slice(2);
assert(service, "usage: node check-citizen.mjs URL TOKEN SERVICE");

const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));
// IO's own formats.
for (const [name, form] of Object.entries({
  FiscalCode: /^[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]$/,
  OrganizationFiscalCode: /^[0-9]{11}$/,
  Ulid: /^[0-9a-hjkmnp-tv-zA-HJKMNP-TV-Z]{26}$/,
  UTCISODateFromString: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/,
})) {
  ajv.addFormat(name, form);
}

async function open(name, path, Api) {
  const contract = await SwaggerParser.dereference(
    JSON.parse(readFileSync(`generated/${name}.json`, "utf8")),
  );
  const api = new Api({
    baseUrl: `${url}${path}`,
    baseApiParams: { headers: { Authorization: `Bearer ${token}` } },
  });
  /** Fails unless `answer` has `status` and the body declared for it. */
  const expect = async (operation, status, calling) => {
    const answer = await calling.catch((refused) => refused);
    // A client that expects no content leaves a refusal unread.
    const body = answer.data ?? answer.error ?? (await answer.json().catch(() => null));
    assert.equal(answer.status, status, `${operation}: ${answer.status} ${JSON.stringify(body)}`);
    const operations = Object.values(contract.paths).flatMap((item) => Object.values(item));
    const declared = operations.find((one) => one.operationId === operation).responses[status];
    assert(declared, `${operation}: ${status} is not declared`);
    const schema = declared.content?.["application/json"]?.schema;
    if (schema) {
      const validate = ajv.compile(schema);
      assert(
        validate(body),
        `${operation}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`,
      );
    }
    return body;
  };
  return [api, expect];
}

const [identity, identified] = await open("identity", "/api/identity/v1", Identity);
const [inbox, received] = await open("communication", "/api/communication/v1", Communication);
const [catalogue, found] = await open("catalogue", "/api/v2", Catalogue);

// The first visit: initial values, terms of service, preferences.
const initial = await identified("getUserProfile", 200, identity.profile.getUserProfile());
assert.equal(initial.has_profile, false);
const profile = await identified(
  "updateProfile",
  200,
  identity.profile.updateProfile({
    accepted_tos_version: 1,
    email: "citizen@example.it",
    last_app_version: "1.10.11",
    preferred_languages: ["it_IT"],
    reminder_status: "ENABLED",
    push_notifications_content_type: "FULL",
    service_preferences_settings: { mode: "AUTO" },
    version: initial.version,
  }),
);
assert.deepEqual([profile.has_profile, profile.is_inbox_enabled], [true, true]);
await identified("updateProfile", 409, identity.profile.updateProfile({ version: initial.version }));
await identified("updateProfile", 400, identity.profile.updateProfile({ version: 1, email: "x" }));
const preference = await identified(
  "getServicePreferences",
  200,
  identity.services.getServicePreferences(service),
);
const off = { ...preference, is_email_enabled: false };
const written = await identified(
  "upsertServicePreferences",
  200,
  identity.services.upsertServicePreferences(service, off),
);
assert.deepEqual(written, off);
await identified(
  "getServicePreferences",
  404,
  identity.services.getServicePreferences("nobodys-service"),
);

// A device, the catalogue.
const device = { platform: "fcmv1", pushChannel: "a-token" };
await received(
  "createOrUpdateInstallation",
  200,
  inbox.installations.createOrUpdateInstallation("6b0d2f5e-1111-4222-8333-444455556666", device),
);
const institutions = await found(
  "findInstitutions",
  200,
  catalogue.institutions.findInstitutions({ limit: 5 }),
);
const institution = institutions.institutions[0];
await found(
  "findInstutionServices",
  200,
  catalogue.institutions.findInstutionServices(institution.id),
);
await found("getFeaturedInstitutions", 200, catalogue.institutions.getFeaturedInstitutions());
await found("getFeaturedServices", 200, catalogue.services.getFeaturedServices());
const details = await found("getServiceById", 200, catalogue.services.getServiceById(service));
assert.equal(details.id, service);

// From here on messages are welcome: whoever started this sends two.
process.stdout.write("ready for messages\n");
let page;
for (let tries = 0; ; tries += 1) {
  page = await received("getUserMessages", 200, inbox.messages.getUserMessages({ page_size: 1 }));
  if (page.next) break;
  assert(tries < 300, "two messages do not arrive");
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const enriched = await received(
  "getUserMessages",
  200,
  inbox.messages.getUserMessages({ enrich_result_data: true, maximum_id: page.next }),
);
const [message] = enriched.items;
assert.equal(message.sender_service_id, service);
for (const public_message of [false, true]) {
  const read = await received(
    "getUserMessage",
    200,
    inbox.messages.getUserMessage(message.id, { public_message }),
  );
  assert.equal(read.id, message.id);
}
const marks = await received(
  "upsertMessageStatusAttributes",
  200,
  inbox.messages.upsertMessageStatusAttributes(message.id, {
    change_type: "bulk",
    is_archived: true,
    is_read: true,
  }),
);
assert.deepEqual(marks, { is_read: true, is_archived: true });
const archive = await received(
  "getUserMessages",
  200,
  inbox.messages.getUserMessages({ archived: true, enrich_result_data: true }),
);
assert.deepEqual(archive.items.map((item) => item.id), [message.id]);
const absent = "01BX9NSMKVXXS5PSP2FATZMYYY";
await received("getUserMessage", 404, inbox.messages.getUserMessage(absent));
await received("getUserMessages", 400, inbox.messages.getUserMessages({ page_size: 101 }));

// What is held of the citizen.
const processing = identity.userDataProcessing;
await identified(
  "upsertUserDataProcessing",
  200,
  processing.upsertUserDataProcessing({ choice: "DOWNLOAD" }),
);
await identified("getUserDataProcessing", 200, processing.getUserDataProcessing("DOWNLOAD"));
await identified(
  "upsertUserDataProcessing",
  200,
  processing.upsertUserDataProcessing({ choice: "DELETE" }),
);
await identified(
  "upsertUserDataProcessing",
  409,
  processing.upsertUserDataProcessing({ choice: "DELETE" }),
);
await identified("abortUserDataProcessing", 202, processing.abortUserDataProcessing("DELETE"));
await identified("abortUserDataProcessing", 409, processing.abortUserDataProcessing("DELETE"));

const stranger = await fetch(`${url}/api/identity/v1/profile`);
assert.equal(stranger.status, 401);

process.stdout.write("the generated clients and Araldo agree\n");
