// The citizen's profile as the page last saw it. Changes name its version: if
// somebody else changed it meanwhile, it is read anew and the change is refused.

import * as api from './api.js';

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

/** Changes some fields, the others stay; throws the API's refusal, after a 409 with the profile read anew. */
export async function change(fields) {
  const { version } = await profile();
  try {
    current = await api.changeProfile({ ...fields, version });
    return current;
  } catch (error) {
    if (error.status === 409) await load();
    throw error;
  }
}
