// The public citizen API: the same calls that any client may make.

import { end, token } from './session.js';

const MESSAGES = '/api/communication/v1/messages';
const IDENTITY = '/api/identity/v1';
const CITIZEN = '/api/citizen/v1';
/** Milliseconds after which a request is given up; a copy of everything may take its time. */
const PATIENCE = 30_000;
const LONG_PATIENCE = 600_000;

/** A refusal, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(status, body = {}, retryAfter = null) {
    super(body.title ?? `status ${status}`);
    this.status = status;
    this.type = body.type ?? '';
    this.detail = body.detail ?? '';
    this.errors = Array.isArray(body.errors) ? body.errors : [];
    this.retryAfter = retryAfter;
  }
}

/** Headers that say who asks. */
export const authorization = () => ({ Authorization: `Bearer ${token() ?? ''}` });

/** What an answer that is no success says. */
export async function refusal(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not JSON: a proxy's own page; the status says enough.
  }
  const wait = Number.parseInt(response.headers.get('retry-after') ?? '', 10);
  return new ApiError(response.status, body ?? {}, Number.isFinite(wait) ? wait : null);
}

async function call(method, path, { body, signal, as = 'json' } = {}) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), as === 'blob' ? LONG_PATIENCE : PATIENCE);
  const passOn = () => stop.abort();
  signal?.addEventListener('abort', passOn);
  try {
    const headers = authorization();
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const response = await fetch(path, {
      method, headers, signal: stop.signal, cache: 'no-store', credentials: 'omit',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok) return await read(response, as);
    const error = await refusal(response);
    if (error.status === 401) end('expired');
    throw error;
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error;
    throw new ApiError(0);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', passOn);
  }
}

async function read(response, as) {
  if (as === 'blob') return response.blob();
  const text = await response.text();
  return text === '' ? null : JSON.parse(text);
}

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== '');
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
};
const part = encodeURIComponent;

/** Messages, the newest first; `before` is the `next` of the page above. */
export const messages = (archived, before, signal) =>
  call('GET', `${MESSAGES}?${query({ enrich_result_data: true, archived, page_size: 20, maximum_id: before })}`, { signal });
export const search = (words, before, signal) =>
  call('GET', `${CITIZEN}/messages?${query({ q: words, before, limit: 20 })}`, { signal });
export const message = (id, signal) => call('GET', `${MESSAGES}/${part(id)}?public_message=true`, { signal });
export const markRead = (id) =>
  call('PUT', `${MESSAGES}/${part(id)}/status`, { body: { change_type: 'reading', is_read: true } });
export const archive = (id, archived) =>
  call('PUT', `${MESSAGES}/${part(id)}/status`, { body: { change_type: 'archiving', is_archived: archived } });

export const profile = (signal) => call('GET', `${IDENTITY}/profile`, { signal });
export const changeProfile = (body) => call('POST', `${IDENTITY}/profile`, { body });
export const validateEmail = () => call('POST', `${IDENTITY}/email-validation-process`);

/** Services with the citizen's switches; `after` is the `next` of the page above. */
export const preferences = (words, after, signal) =>
  call('GET', `${CITIZEN}/preferences?${query({ search: words, after, limit: 50 })}`, { signal });
export const changePreference = (service, body) =>
  call('POST', `${IDENTITY}/services/${part(service)}/preferences`, { body });

export const devices = (signal) => call('GET', `${CITIZEN}/devices`, { signal });
export const removeDevice = (id) => call('DELETE', `${CITIZEN}/devices/${part(id)}`);
export const revokeEverything = () => call('POST', `${CITIZEN}/sessions/revoke`);

export const askData = (choice) => call('POST', `${IDENTITY}/user-data-processing`, { body: { choice } });
export const dataRequest = (choice, signal) => call('GET', `${IDENTITY}/user-data-processing/${choice}`, { signal });
export const takeBack = (choice) => call('DELETE', `${IDENTITY}/user-data-processing/${choice}`);
export const userData = () => call('GET', `${CITIZEN}/user-data`, { as: 'blob' });

/** Where live events come from. */
export const LIVE = `${CITIZEN}/live`;
