// Elements from values. Text only ever becomes a text node: nothing here, or anywhere in the page,
// reads markup out of a string (the page's Content-Security-Policy would refuse it, too).

const SVG = "http://www.w3.org/2000/svg";

// where a link opens: Airflow's frame may open no window, so it is followed in the frame
export const newTab = window.top === window ? "_blank" : null;

export const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// `parent` holds exactly `wanted`, in that order. What is in its place stays untouched: an element
// that is put in anew loses the focus and the selection in it, even where it was before.
export function arrange(parent, wanted) {
  const focused = document.activeElement;
  const staying = new Set(wanted);
  for (const child of [...parent.children]) if (!staying.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const element of wanted) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

// shows values in `parent`, each by the element that `make` returns, for as long as it stays the same
export function listIn(parent, keyOf, make, sameAs = JSON.stringify) {
  let shown = new Map();
  return (values) => {
    const now = new Map();
    for (const value of values) {
      const [key, text] = [keyOf(value), sameAs(value)];
      const before = shown.get(key);
      now.set(key, before?.text === text ? before : { text, element: make(value) });
    }
    shown = now;
    arrange(parent, [...now.values()].map(({ element }) => element));
  };
}

// calls `show` only with values that differ from those before
export function onChange(show) {
  let shown;
  return (...values) => {
    const text = JSON.stringify(values);
    if (text === shown) return;
    shown = text;
    show(...values);
  };
}
