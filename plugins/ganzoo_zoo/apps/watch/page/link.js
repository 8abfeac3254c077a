// Links that hold the settings of a run, and the command that trains the same run in a terminal.
// The key of this page is behind the # of its address, and never part of a link.

const WORDS = ["architecture", "loss", "data", "init", "preset"];
const LONGEST = 60_000;

const encode = (text) => btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""))
  .replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const decode = (code) => new TextDecoder("utf-8", { fatal: true })
  .decode(Uint8Array.from(atob(code.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0)));

// Return what is asked for without what is not said.
const pruned = (asked) => Object.fromEntries(
  [...WORDS, "settings"].filter((word) => asked[word] && Object.keys(asked[word]).length).map((word) => [word, asked[word]]));

export const makeLink = (asked) => `${location.origin}/?s=${encode(JSON.stringify(pruned(asked)))}`;

// The settings in the address of this page, or empty.
export const ownCode = () => new URLSearchParams(location.search).get("s") ?? "";

// Read a link, or the part of it behind "s=".
// Throws an Error with a message for people.
export const readLink = (text) => {
  const code = text.trim().match(/(?:[?&]s=)?([\w-]+)(?:[#&].*)?$/)?.[1] ?? "";
  let found = null;
  if (text.length > LONGEST) throw new Error("This link is too long.");
  try {
    found = JSON.parse(decode(code));
  } catch { /* told below */ }
  if (found === null || typeof found !== "object" || Array.isArray(found)) {
    throw new Error("This is not a link with settings. Copy the whole link, with the part behind ?s=");
  }
  const strange = Object.keys(found).filter((word) => ![...WORDS, "settings"].includes(word));
  if (strange.length) throw new Error(`This link holds what this page does not know: ${strange.join(", ").slice(0, 100)}.`);
  const settings = found.settings ?? {};
  const good = WORDS.every((word) => found[word] === undefined || typeof found[word] === "string")
    && typeof settings === "object" && !Array.isArray(settings)
    && Object.values(settings).every((value) => typeof value === "string");
  if (!good) throw new Error("This link is damaged: its settings are not texts.");
  return { loss: null, data: null, init: null, preset: null, ...found, settings };
};

const quote = (word) => (/^[\w.,:=+@%/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// The command for the same training; with it, the page shows the run as its own.
export const makeCommand = ({ architecture, loss, data, init, settings }) => [
  "ganzoo train", quote(architecture),
  ...[["--loss", loss], ["--data", data], ["--init", init]].flatMap(([word, value]) => (value ? [word, quote(value)] : [])),
  ...Object.entries(settings).flatMap(([key, value]) => ["--set", quote(`${key}=${value}`)]),
  "--tracker watch",
].join(" ");
