// The signed-in citizen's token: in this tab's session storage and nowhere else.

const PLACE = 'araldo.token';
let ended = () => {};

/** The token, or null. */
export const token = () => sessionStorage.getItem(PLACE);

/** Signs in with `text`. */
export const begin = (text) => sessionStorage.setItem(PLACE, text);

/** Signs out; `reason` names what the sign-in page then says. */
export function end(reason) {
  if (token() === null) return;
  sessionStorage.removeItem(PLACE);
  ended(reason);
}

/** Who is told when the session ends. */
export const onEnd = (listener) => { ended = listener; };

/** Takes a token out of the address, so that it stays in no history; null when there was none. */
export function takeFromAddress() {
  const found = /^#token=([A-Za-z0-9_.~-]+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, '', `${location.pathname}#/inbox`);
  return found[1];
}
