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
