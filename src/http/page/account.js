// The citizen's profile as the page last saw it. Changes name its version: if
// somebody else changed it meanwhile, it is read anew and the change is refused.

import * as api from './api.js';

/** What a change sends along unchanged; the API takes the profile as a whole. */
const WRITABLE = [
  'email', 'preferred_languages', 'is_inbox_enabled', 'is_webhook_enabled', 'is_email_enabled',
  'accepted_tos_version', 'reminder_status', 'last_app_version', 'push_notifications_content_type',
  'service_preferences_settings', 'version',
];
let current = null;

/** Reads the profile. */
export async function load(signal) {
  current = await api.profile(signal);
  return current;
}

/** The profile, read if it was not yet. */
export const profile = async (signal) => current ?? load(signal);

/** The profile as it was last seen, or null. */
export const known = () => current;

/** Forgets whose profile it was. */
export const forget = () => { current = null; };

/** Changes some fields; throws the API's refusal, after a 409 with the profile read anew. */
export async function change(fields) {
  const now = await profile();
  const body = {};
  for (const name of WRITABLE) {
    if (now[name] !== undefined && now[name] !== null) body[name] = now[name];
  }
  try {
    current = await api.changeProfile({ ...body, ...fields });
    return current;
  } catch (error) {
    if (error.status === 409) await load();
    throw error;
  }
}
