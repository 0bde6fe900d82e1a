// Points on a canvas: hover, a click, a box or a lasso, the arrow keys. What is meant by them is
// decided in Python; names and words come in as text and are never read as HTML.

const CLICK_PX = 4; // a shorter drag is a click
const ANSWER_MS = 1000; // then the card is asked for again
const TURN = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function bytes(model, name) {
  const view = model.get(name);
  return view ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(0);
}

class Cloud {
  constructor(model, el) {
    this.model = model;
    this.root = document.createElement("div");
    this.root.className = "aw-cloud";
    this.base = document.createElement("canvas");
    this.top = document.createElement("canvas");
    this.top.className = "aw-lasso";
    this.top.tabIndex = 0;
    this.top.setAttribute("role", "application");
    this.top.dataset.lmSuppressShortcuts = ""; // JupyterLab leaves the arrow keys to us
    const frame = document.createElement("div");
    frame.className = "aw-frame";
    this.card = document.createElement("div");
    this.card.className = "aw-card";
    this.picture = document.createElement("img");
    this.words = document.createElement("div");
    this.card.append(this.picture, this.words);
    this.root.append(this.base, this.top, frame, this.card);
    el.append(this.root);
    this.places = new Places(new Float32Array(0), 1, 1, false);
    this.hovered = this.marked = -1;
    this.asked = null; // the point whose card is on its way
    this.drag = null;
    this.waiting = new Set(); // which of the canvases are to be painted
    this.leaving = new AbortController();
    this.listen();
    this.arrange();
  }

  listen() {
    const { signal } = this.leaving;
    const on = (name, act) => this.top.addEventListener(name, act, { signal });
    on("pointerdown", (event) => this.onDown(event));
    on("pointermove", (event) => this.onMove(event));
    on("pointerup", (event) => this.onUp(event));
    on("pointercancel", () => this.drop());
    on("pointerleave", () => !this.drag && this.hover(-1));
    on("dblclick", () => this.model.send({ event: "clear" }));
    on("keydown", (event) => this.onKey(event));
    on("blur", () => this.hover(-1));
    this.heard = [
      ["change:points change:width_px change:height_px change:fill", () => this.arrange()],
      ["change:codes change:palette change:mask change:rising", () => this.paintSoon("base")],
      ["change:mask", () => this.paintSoon("top")],
      ["change:label", () => this.name()],
      ["msg:custom", (content, buffers) => this.onMessage(content, buffers)],
    ];
    for (const [names, act] of this.heard) {
      for (const name of names.split(" ")) this.model.on(name, act);
    }
    // Another theme has other colors.
    this.watcher = new MutationObserver(() => this.paintSoon("base", "top"));
    this.watcher.observe(document.body, { attributes: true });
    this.watchResolution();
  }

  watchResolution() {
    const { signal } = this.leaving;
    const query = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    const changed = () => { this.watchResolution(); this.arrange(); };
    query.addEventListener("change", changed, { once: true, signal });
  }

  close() {
    this.leaving.abort();
    this.watcher.disconnect();
    for (const [names, act] of this.heard) {
      for (const name of names.split(" ")) this.model.off(name, act);
    }
    URL.revokeObjectURL(this.picture.src);
    this.root.remove();
  }

  // --- painting

  name() {
    this.top.setAttribute("aria-label", this.model.get("label"));
  }

  arrange() {
    const data = bytes(this.model, "points").slice(); // aligned
    const [width, height] = [this.model.get("width_px"), this.model.get("height_px")];
    this.places = new Places(new Float32Array(data.buffer), width, height, this.model.get("fill"));
    Object.assign(this.root.style, { width: `${width}px`, height: `${height}px` });
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    this.hovered = this.marked = -1;
    this.card.style.display = "none";
    this.name();
    this.paintSoon("base", "top");
  }

  paintSoon(...which) {
    if (!this.waiting.size) requestAnimationFrame(() => this.paint());
    for (const each of which) this.waiting.add(each);
  }

  paint() {
    // Cleared first: after an exception the next change must ask for a frame again.
    const which = new Set(this.waiting);
    this.waiting.clear();
    if (which.has("base")) this.paintPoints();
    if (which.has("top")) this.paintAbove();
  }

  get radius() {
    return Math.max(1.6, Math.min(4, 120 / Math.sqrt(this.places.count || 1)));
  }

  // One picture per color, painted once and copied to every point.
  stamps(palette, radius, alpha) {
    const count = Math.max(1, palette.length / 3);
    const side = Math.ceil(2 * radius * devicePixelRatio) + 2;
    const sheet = new OffscreenCanvas(side * count, side);
    const context = sheet.getContext("2d");
    context.globalAlpha = alpha;
    for (let code = 0; code < count; code++) {
      const [red, green, blue] = palette.subarray(3 * code, 3 * code + 3);
      context.fillStyle = `rgb(${red ?? 128}, ${green ?? 128}, ${blue ?? 128})`;
      context.beginPath();
      context.arc((code + 0.5) * side, side / 2, radius * devicePixelRatio, 0, 2 * Math.PI);
      context.fill();
    }
    return { sheet, side, count };
  }

  paintPoints() {
    const context = this.base.getContext("2d");
    context.clearRect(0, 0, this.base.width, this.base.height);
    const codes = bytes(this.model, "codes"), mask = bytes(this.model, "mask");
    const palette = bytes(this.model, "palette");
    let n_chosen = 0;
    for (const each of mask) n_chosen += each > 0;
    const dims = n_chosen > 1;
    const order = this.order(codes);
    const plain = this.stamps(palette, this.radius, dims ? 0.13 : 0.82);
    this.stamp(context, plain, codes, order, (point) => !(dims && mask[point]));
    if (dims) {
      const bright = this.stamps(palette, this.radius + 0.5, 0.95);
      this.stamp(context, bright, codes, order, (point) => mask[point]);
    }
    this.base.dataset.painted = this.places.count;
  }

  order(codes) {
    const order = Uint32Array.from({ length: this.places.count }, (_, point) => point);
    return this.model.get("rising") ? order.sort((a, b) => codes[a] - codes[b]) : order;
  }

  stamp(context, { sheet, side, count }, codes, order, wanted) {
    const { x, y } = this.places, ratio = devicePixelRatio;
    for (const point of order) {
      if (!wanted(point)) continue;
      const left = Math.round(x[point] * ratio - side / 2);
      const top = Math.round(y[point] * ratio - side / 2);
      context.drawImage(sheet, ((codes[point] ?? 0) % count) * side, 0, side, side,
        left, top, side, side);
    }
  }

  paintAbove() {
    const context = this.top.getContext("2d");
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.top.width, this.top.height);
    const ink = getComputedStyle(this.card).color;
    const mask = bytes(this.model, "mask");
    for (let point = 0; point < mask.length; point++) {
      if (mask[point] === 2) this.ring(context, point, ink, 2);
    }
    if (this.marked >= 0) this.ring(context, this.marked, ink, 1.5);
    if (this.hovered >= 0) this.ring(context, this.hovered, ink, 1.5);
    if (this.drag?.corners.length > 1) {
      context.beginPath();
      for (const [x, y] of this.outline()) context.lineTo(x, y);
      context.closePath();
      context.strokeStyle = ink;
      context.lineWidth = 1;
      context.setLineDash([4, 3]);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 0.07;
      context.fillStyle = ink;
      context.fill();
      context.globalAlpha = 1;
    }
  }

  ring(context, point, ink, width) {
    if (point >= this.places.count) return;
    context.beginPath();
    context.arc(this.places.x[point], this.places.y[point], this.radius + 3, 0, 2 * Math.PI);
    context.strokeStyle = ink;
    context.lineWidth = width;
    context.stroke();
  }

  // --- the pointer and the keys

  at(event) {
    const box = this.top.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  onDown(event) {
    if (event.button) return;
    this.top.setPointerCapture(event.pointerId);
    this.drag = { corners: [this.at(event)], moved: false };
  }

  onMove(event) {
    const place = this.at(event);
    if (!this.drag) return this.hover(this.places.nearest(...place));
    const [x, y] = this.drag.corners[0];
    this.drag.moved ||= Math.hypot(place[0] - x, place[1] - y) > CLICK_PX;
    if (!this.drag.moved) return;
    this.hover(-1);
    this.drag.corners.push(place);
    this.paintSoon("top");
  }

  onUp(event) {
    if (!this.drag) return;
    const { moved, corners } = this.drag;
    const found = moved ? this.places.inside(this.outline())
      : [this.places.nearest(...corners[0])].filter((point) => point >= 0);
    this.drop();
    if (found.length) this.choose(found, event.shiftKey);
  }

  // A box has its corners at the ends of the drag.
  outline() {
    const { corners } = this.drag;
    if (this.model.get("gesture") !== "box") return corners;
    const [left, top] = corners[0], [right, bottom] = corners.at(-1);
    return [[left, top], [right, top], [right, bottom], [left, bottom]];
  }

  drop() {
    this.drag = null;
    this.paintSoon("top");
  }

  onKey(event) {
    if (event.key === "Escape") {
      if (this.drag) this.drop();
      else this.model.send({ event: "clear" });
    } else if (event.key in TURN && this.places.count) {
      this.hover(this.hovered < 0 ? this.first() : this.places.beside(this.hovered, TURN[event.key]));
    } else if ((event.key === "Enter" || event.key === " ") && this.hovered >= 0) {
      this.choose([this.hovered], event.shiftKey);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  first() {
    const focus = bytes(this.model, "mask").indexOf(2);
    return Math.max(0, focus);
  }

  choose(points, adds) {
    this.model.send({ event: "choose", adds }, undefined, [Uint32Array.from(points).buffer]);
  }

  hover(point) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.card.style.display = "none";
    this.top.dataset.hovered = point;
    this.paintSoon("top");
    this.ask();
  }

  // One question at a time: the next one when this is answered.
  ask() {
    if (this.asked !== null && performance.now() - this.asked < ANSWER_MS) return;
    this.asked = performance.now();
    this.answering = this.hovered;
    this.model.send({ event: "hover", point: this.hovered });
  }

  onMessage(content, buffers) {
    if (content.event === "mark") {
      this.marked = content.point;
      this.paintSoon("top");
    } else if (content.event === "card") {
      this.asked = null;
      if (content.point !== this.hovered) this.ask();
      else if (content.point >= 0) this.show(content.lines, buffers[0]);
    }
  }

  show(lines, png) {
    URL.revokeObjectURL(this.picture.src);
    this.picture.style.display = png?.byteLength ? "block" : "none";
    if (png?.byteLength) {
      this.picture.src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
    }
    this.words.replaceChildren(...lines.map((line) => {
      const element = document.createElement("div");
      element.textContent = line;
      return element;
    }));
    this.card.style.display = "block";
    const x = this.places.x[this.hovered], y = this.places.y[this.hovered];
    const { offsetWidth: wide, offsetHeight: high } = this.card;
    const [width, height] = [this.model.get("width_px"), this.model.get("height_px")];
    const left = x + 14 + wide <= width ? x + 14 : Math.max(0, x - 14 - wide);
    const top = Math.max(0, Math.min(y - high / 2, height - high));
    Object.assign(this.card.style, { left: `${left}px`, top: `${top}px` });
  }
}

export default {
  render({ model, el }) {
    const cloud = new Cloud(model, el);
    return () => cloud.close();
  },
};
