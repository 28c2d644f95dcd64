"use strict";
// Builds the page from the JSON in #trace; reference/trace_page says what is in it.

const trace = JSON.parse(document.getElementById("trace").textContent);
const steps = trace.steps;
const SIGNS = { right: "✓", wrong: "✗", infected: "≈" };
const dark = matchMedia("(prefers-color-scheme: dark)");
const $ = (id) => document.getElementById(id);
let current = steps.length - 1;

/** An element with attributes and children; null children are left out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

/** A number in three digits, with a true minus; "inf" and "nan" come as strings. */
function show(number) {
  if (typeof number === "string") return number.replace("inf", "∞");
  if (number === 0) return "0";
  const size = Math.abs(number);
  const text = size >= 1e4 || size < 1e-3 ? number.toExponential(1) : String(Number(number.toPrecision(3)));
  return text.replaceAll("-", "−");
}

const shape = (p) => (p.shape.length ? p.shape.join(" × ") : "a number");
const tuple = (p) => `(${p.shape.join(", ")}${p.shape.length === 1 ? "," : ""})`;
const shapes = (side) => Object.values(side).map(tuple).join(", ");
const state = (s) => `${SIGNS[s]} ${s}`;

// pictures

/** Zero is paper; blue is negative, orange positive; what is not finite is magenta. */
function colour(share) {
  if (Number.isNaN(share)) return [255, 0, 255];
  const [zero, below, above] = dark.matches
    ? [[18, 22, 27], [96, 174, 255], [255, 160, 64]]
    : [[255, 255, 255], [5, 80, 174], [188, 76, 0]];
  const end = share < 0 ? below : above;
  const t = Math.abs(share) ** 0.7; // So that small entries are seen.
  return zero.map((z, i) => Math.round(z + t * (end[i] - z)));
}

function cells(p) {
  return Int8Array.from(atob(p.cells), (c) => c.charCodeAt(0));
}

function paint(canvas, p, scale) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(p.columns, p.rows);
  cells(p).forEach((cell, i) => {
    const share = cell === -128 ? NaN : scale > 0 ? ((cell / 127) * p.scale) / scale : 0;
    image.data.set([...colour(share), 255], 4 * i);
  });
  pen.putImageData(image, 0, 0);
}

/** What the pointer is on, as text. */
function under(event, canvas, p) {
  const box = canvas.getBoundingClientRect();
  const at = (where, extent, count) => Math.min(count - 1, Math.max(0, Math.floor((where / extent) * count)));
  const row = at(event.clientY - box.top, box.height, p.rows);
  const column = at(event.clientX - box.left, box.width, p.columns);
  const k = row * p.columns + column;
  const cell = cells(p)[k];
  const value = p.values ? p.values[k] : cell === -128 ? "not finite" : (cell / 127) * p.scale;
  const [high, wide] = p.block;
  const where = (first, step) => (step === 1 ? first : `${first * step}…`);
  return `[${where(row, high)}, ${where(column, wide)}] ${show(value)}`;
}

/** The numbers of a small array, as a table. */
function numbers(p) {
  const rows = [];
  for (let r = 0; r < p.rows; r++) {
    const row = p.values.slice(r * p.columns, (r + 1) * p.columns);
    rows.push(make("tr", {}, row.map((v) => make("td", {}, show(v)))));
  }
  return make(
    "details", {}, make("summary", {}, "numbers"),
    make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, rows))),
  );
}

/** A heat map with its name, its size and, where small, its numbers. */
function picture(name, p, scale = p.scale) {
  const title = make("b", {}, name);
  if (p.rows * p.columns === 0) return make("figure", {}, make("figcaption", {}, title, " is empty"));
  const [high, wide] = p.block;
  const extremes = `from ${show(p.least)} to ${show(p.most)}`;
  const cut = high * wide > 1 ? `; a cell is the largest of ${high} × ${wide} entries` : "";
  const side = Math.max(4, Math.min(22, Math.floor(256 / Math.max(p.rows, p.columns))));
  const canvas = make("canvas", {
    role: "img", width: p.columns, height: p.rows,
    "aria-label": `${name}, ${shape(p)}, ${extremes}${cut}`,
    style: `width: ${side * p.columns}px; height: ${side * p.rows}px`,
  });
  paint(canvas, p, scale);
  dark.addEventListener("change", () => paint(canvas, p, scale));
  const usual = `rms ${show(p.rms)}, ${extremes}${cut}`;
  const line = make("span", {}, usual);
  canvas.addEventListener("pointermove", (event) => { line.textContent = under(event, canvas, p); });
  canvas.addEventListener("pointerleave", () => { line.textContent = usual; });
  return make(
    "figure", {}, make("figcaption", {}, title, " ", make("span", { class: "whole" }, tuple(p))), canvas,
    make("figcaption", {}, line), p.values ? numbers(p) : null,
  );
}

const gallery = (side) =>
  make("div", { class: "pictures" }, Object.entries(side).map(([name, p]) => picture(name, p)));

// one step

function equations(lines) {
  const each = lines.map((line) => make("span", {}, `${line}\n`));
  return lines.length ? make("pre", {}, each) : null;
}

function findings(step) {
  const found = step.faults.map((f) => make("p", { class: "finding wrong" }, f));
  if (step.state === "infected") {
    found.push(make(
      "p", { class: "finding infected" },
      "Its own arithmetic is right; what reaches it or what it gives on is not.",
    ));
  }
  return found;
}

function local(step) {
  const j = step.jacobian;
  if (step.path === "loss") {
    return [make("p", {}, "The loss is a number: its local derivative is dprediction, below, and dloss is 1.")];
  }
  if (!j) return [make("p", { class: "faint" }, "∂y/∂x is not drawn: it has too many entries, or x is not one array of real numbers.")];
  return [picture("∂y/∂x", j), make("p", { class: "faint" }, "A row for each entry of y, a column for each of x.")];
}

function leaf(name, c) {
  const line = [
    ["by hand", c.hand ? show(c.hand.rms) : "nothing usable"], ["autodiff", show(c.autodiff.rms)],
    ["noise units", show(c.units)], ["relative error", show(c.relative)],
    ["off in the pass", show(c.flowed)],
  ];
  const good = ["RIGHT", "KINK"].includes(c.verdict) ? "right" : c.verdict === "UNTESTED" ? "infected" : "wrong";
  // One scale for both, and for their difference where it is but rounding.
  const scale = Math.max(c.autodiff.scale, c.hand ? c.hand.scale : 0);
  return make(
    "div", { class: "leaf" },
    make("p", {}, make("b", {}, name), " ", make("span", { class: `state ${good}` }, `${SIGNS[good]} ${c.verdict}`)),
    make(
      "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name} in numbers` },
      make(
        "table", {},
        make("thead", {}, make("tr", {}, line.map(([head]) => make("th", { scope: "col" }, head)))),
        make("tbody", {}, make("tr", {}, line.map(([, value]) => make("td", {}, value)))),
      ),
    ),
    make(
      "div", { class: "pictures" },
      c.hand ? picture("by hand", c.hand, scale) : null,
      picture("autodiff", c.autodiff, scale),
      c.difference ? picture("hand − autodiff", c.difference, good === "right" ? scale : undefined) : null,
    ),
  );
}

function panel(step) {
  const { params, x, y, dy } = step.sides;
  const leaves = Object.entries(step.cotangents);
  return [
    make(
      "h2", { id: "step-title" }, `${step.number} ${step.rule} `,
      make("code", {}, step.path === "loss" ? "" : step.path), " ",
      make("span", { class: `state ${step.state}` }, state(step.state)),
    ),
    ...findings(step),
    make(
      "div", { class: "sides" },
      make(
        "div", {}, make("h3", {}, `Forward: ${shapes(x)} → ${shapes(y)}`), equations(step.forward),
        gallery({ ...x, ...y, ...params }),
      ),
      make(
        "div", {}, make("h3", {}, `Backward: dy comes in, ${shapes(dy)}`), equations(step.backward),
        gallery(dy),
        make("p", { class: "faint" }, `In the network's own pass dy is off by ${show(step.dyFlowed)} of its size.`),
        make("h3", {}, "Local derivative"), ...local(step),
      ),
    ),
    make("h3", {}, "What goes out: by hand, beside autodiff"),
    ...(leaves.length ? leaves.map(([name, c]) => leaf(name, c)) : [make("p", {}, "Nothing here has a derivative.")]),
  ];
}

// the whole

function tab(step, i) {
  const dy = Object.values(step.sides.dy)[0];
  const element = make(
    "button",
    {
      type: "button", role: "tab", id: `tab-${i}`, class: step.state, tabindex: "-1",
      "aria-selected": "false", "aria-controls": "step",
    },
    make("b", {}, `${step.number} ${step.rule}`),
    make("small", {}, step.path),
    make("small", {}, `→ ${shapes(step.sides.y)}`),
    make("small", {}, dy ? `← dy ${show(dy.rms)}` : "←"),
    make("span", { class: "state" }, state(step.state)),
  );
  element.addEventListener("click", () => select(i));
  return element;
}

/** Show a step; focus follows where a tab had it. */
function select(i) {
  current = Math.max(0, Math.min(steps.length - 1, i));
  const tabs = [...$("strip").children];
  const moves = tabs.includes(document.activeElement);
  tabs.forEach((element, k) => {
    element.setAttribute("aria-selected", String(k === current));
    element.setAttribute("tabindex", k === current ? "0" : "-1");
    element.classList.toggle("reached", k >= current);
  });
  $("step").replaceChildren(...panel(steps[current]));
  $("step").setAttribute("aria-labelledby", "step-title");
  $("back").disabled = current === 0;
  $("forth").disabled = current === steps.length - 1;
  const shown = tabs[current];
  if (moves) shown.focus({ preventScroll: true });
  $("strip").scrollLeft = shown.offsetLeft - ($("strip").clientWidth - shown.offsetWidth) / 2;
  const step = steps[current];
  $("said").textContent = `Step ${step.number} of ${steps.length}, ${step.rule}, ${step.state}`;
}

function keys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const goal = {
    ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: steps.length - 1,
  }[event.key];
  if (goal === undefined || event.target.closest(".scroll")) return; // It scrolls.
  event.preventDefault();
  select(goal);
}

function budget() {
  const leaves = Object.entries(trace.budget);
  if (!leaves.length) return;
  $("budget").hidden = false;
  $("budget").append(
    make("h2", { id: "budget-title" }, "Where each parameter's error comes from"),
    ...leaves.map(([name, shares]) => make(
      "div", { class: "leaf" },
      make("p", {}, make("b", {}, name), ` is off by ${show(trace.gradient[name])} of its size`),
      make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, Object.entries(shares).map(([path, share]) => make(
        "tr", {}, make("td", {}, path), make("td", {}, `${Math.round(100 * share)} %`),
        make("td", {}, make("span", { class: "bar", style: `width: ${Math.min(10, 10 * Math.abs(share))}rem` })),
      ))))),
    )),
  );
}

function start() {
  const worst = steps.some((s) => s.state === "wrong") || trace.first !== null ? "wrong" : "right";
  const network = trace.network.replaceAll("(", "(\u200b"); // A line may break there.
  $("title").textContent = `${network} under ${trace.loss} = ${show(trace.value)}`;
  $("findings").append(
    ...trace.sentences.slice(0, 1).map((s) => make(
      "p", { class: `finding ${worst}` }, s.replace(` of ${trace.network}`, ""), // The title has it.
    )),
    ...trace.sentences.slice(1).filter((s) => !s.includes(" is off by ")).map((s) => make("p", { class: "finding" }, s)),
    ...trace.notes.map((s) => make("p", { class: "faint" }, `note: ${s}`)),
  );
  $("strip").append(...steps.map(tab));
  budget();
  $("back").addEventListener("click", () => select(current - 1));
  $("forth").addEventListener("click", () => select(current + 1));
  document.addEventListener("keydown", keys);
  const first = steps.findIndex((s) => s.path === trace.first);
  select(first >= 0 ? first : steps.length - 1);
}

start();
