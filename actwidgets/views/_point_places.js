// Where points lie on a canvas. Sent to the browser in front of _point_cloud.js.

const MARGIN_PX = 14;
const REACH_PX = 12; // from the pointer to a point under it
const CELL_PX = 12; // of the grid in which the nearest point is looked for

// Where points lie in pixels, and which is the nearest to a place.
class Places {
  constructor(values, width, height, fill) {
    this.count = values.length >> 1;
    this.x = new Float32Array(this.count);
    this.y = new Float32Array(this.count);
    const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let at = 0; at < values.length; at++) {
      const axis = at & 1;
      if (values[at] < low[axis]) low[axis] = values[at];
      if (values[at] > high[axis]) high[axis] = values[at];
    }
    const spans = [high[0] - low[0], high[1] - low[1]];
    const scales = [(width - 2 * MARGIN_PX) / (spans[0] || 1),
      (height - 2 * MARGIN_PX) / (spans[1] || 1)];
    if (!fill) {
      // Distances count: both axes have one scale. Without any extent all lie in the middle.
      const fits = [spans[0] ? scales[0] : Infinity, spans[1] ? scales[1] : Infinity];
      const scale = Math.min(...fits);
      scales.fill(Number.isFinite(scale) ? scale : 1);
    }
    for (let point = 0; point < this.count; point++) {
      this.x[point] = width / 2 + (values[2 * point] - low[0] - spans[0] / 2) * scales[0];
      this.y[point] = height / 2 - (values[2 * point + 1] - low[1] - spans[1] / 2) * scales[1];
    }
    this.columns = Math.ceil(width / CELL_PX) + 1;
    const rows = Math.ceil(height / CELL_PX) + 1;
    this.first = new Int32Array(this.columns * rows).fill(-1);
    this.next = new Int32Array(this.count).fill(-1);
    for (let point = 0; point < this.count; point++) {
      const cell = this.cell(this.x[point], this.y[point]);
      this.next[point] = this.first[cell];
      this.first[cell] = point;
    }
  }

  cell(x, y) {
    return Math.floor(y / CELL_PX) * this.columns + Math.floor(x / CELL_PX);
  }

  nearest(x, y) {
    let found = -1, least = REACH_PX * REACH_PX;
    for (let row = -1; row <= 1; row++) {
      for (let column = -1; column <= 1; column++) {
        const cell = this.cell(x + column * CELL_PX, y + row * CELL_PX);
        for (let point = this.first[cell] ?? -1; point >= 0; point = this.next[point]) {
          const distance = (this.x[point] - x) ** 2 + (this.y[point] - y) ** 2;
          if (distance < least) [found, least] = [point, distance];
        }
      }
    }
    return found;
  }

  // The nearest point to the right, left, top or bottom of another.
  beside(from, [right, down]) {
    let found = from, least = Infinity;
    for (let point = 0; point < this.count; point++) {
      const across = this.x[point] - this.x[from], below = this.y[point] - this.y[from];
      const along = across * right + below * down;
      const aside = Math.abs(across * down) + Math.abs(below * right);
      if (along > 0.5 && along + 2 * aside < least) [found, least] = [point, along + 2 * aside];
    }
    return found;
  }

  inside(corners) {
    const xs = corners.map((corner) => corner[0]), ys = corners.map((corner) => corner[1]);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const found = [];
    for (let point = 0; point < this.count; point++) {
      const x = this.x[point], y = this.y[point];
      if (x < left || x > right || y < top || y > bottom) continue;
      let within = false;
      for (let at = 0, before = corners.length - 1; at < corners.length; before = at++) {
        const crosses = ys[at] > y !== ys[before] > y;
        const edge = ((xs[before] - xs[at]) * (y - ys[at])) / (ys[before] - ys[at]) + xs[at];
        if (crosses && x < edge) within = !within;
      }
      if (within) found.push(point);
    }
    return found;
  }
}

