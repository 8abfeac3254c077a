// Numbers as people read them.

// A number with four significant digits, as format_number of the report writes it.
export const number = (value) => {
  if (!Number.isFinite(value)) return "–";
  const rounded = Number(value.toPrecision(4)), size = Math.abs(rounded);
  const text = size === 0 || (size >= 1e-4 && size < 1e5)
    ? rounded.toLocaleString("en", { maximumSignificantDigits: 4 })
    : value.toExponential(3).replace(/\.?0*e\+?/, "e");
  return text.replaceAll("-", "−");
};

export const steps = (value) => Math.round(value).toLocaleString("en");

export const percent = (share) => `${Math.round(100 * share)}%`;

// 1st, 2nd, 3rd, 4th, 11th ...
export const ordinal = (value) => {
  const teen = value % 100 > 10 && value % 100 < 14;
  return `${value}${(!teen && ["th", "st", "nd", "rd"][value % 10]) || "th"}`;
};

// The ticks of an axis, all with the decimals that its increment needs.
export const ticks = (values, increment) => {
  const [, decimals = "", power = "0"] = String(increment).match(/^\d+(?:\.(\d+))?(?:e([+-]?\d+))?$/) ?? [];
  const digits = Math.max(0, decimals.length - Number(power));
  const largest = Math.max(...values.map(Math.abs), 0);
  return values.map((value) => {
    if (digits > 6 || largest >= 1e6) return value === 0 ? "0" : number(Number(value.toPrecision(6)));
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
      .replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
  });
};
