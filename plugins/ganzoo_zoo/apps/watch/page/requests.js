// Requests to the server, with the key that permits what this person may do.

let key = location.hash.slice(1), acted = () => {};

export const hasKey = () => key !== "";
export const useKey = (text) => { key = text; };
// Set what follows an action, such as a look at its effect.
export const afterAction = (done) => { acted = done; };

export class Lost extends Error {}

const send = (path, options = {}) => {
  const headers = { ...options.headers, ...(key ? { "X-Ganzoo-Key": key } : {}) };
  return fetch(path, { ...options, headers });
};

const read = async (response, complain) => {
  const found = await response.json().catch(() => ({}));
  if (response.ok) return found;
  complain?.(found?.error ?? `the server answered ${response.status}`);
  return null;
};

// Fetch JSON; null if it is refused, after complain(message).
export const ask = async (path, complain) =>
  read(await send(path).catch(() => { throw new Lost(); }), complain);

// Post JSON; null if it is refused, after complain(message).
export const act = async (path, body, complain) => {
  try {
    const response = await send(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const done = await read(response, complain);
    acted();
    return done;
  } catch {
    complain("the server does not answer");
    return null;
  }
};

// Fetch a picture as a data address, since an <img> would ask without the key; null if it is refused.
export const askPicture = async (path, complain) => {
  const response = await send(path).catch(() => { throw new Lost(); });
  if (!response.ok) return read(response, complain);
  const blob = await response.blob();
  return new Promise((done) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result));
    reader.addEventListener("error", () => done(null));
    reader.readAsDataURL(blob);
  });
};
