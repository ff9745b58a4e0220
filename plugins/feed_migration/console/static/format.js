// Numbers and times in few characters; times are UTC, as in the journal's own reports.

const pad = (number) => String(number).padStart(2, "0");

export function clock(unix) {
  if (unix === null || unix === undefined) return "–";
  const at = new Date(unix * 1000);
  return `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
}

export function moment(unix) {
  if (unix === null || unix === undefined) return "–";
  const at = new Date(unix * 1000);
  return `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())} ${clock(unix)}`;
}

export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value);
}

export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : /(s|sh)$/.test(noun) ? "es" : "s"}`;

export const words = (text) => String(text ?? "").replaceAll("_", " ");
