// Files that a page makes.

// Let the browser save a blob.
export const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

// A cell of a table: quoted if it must be, and never a formula.
const cell = (value) => {
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

// Rows of texts and numbers as comma-separated values.
export const csv = (rows) => rows.map((row) => `${row.map(cell).join(",")}\n`).join("");

export const saveTable = (rows, name) => save(new Blob([csv(rows)], { type: "text/csv" }), name);
