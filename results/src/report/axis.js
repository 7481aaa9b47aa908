// The one time axis that everything shares, and the gestures that move it.

class Axis {
  constructor(end) {
    this.end = Math.max(1, end);
    /** The shortest stretch that can be shown, in ns: histories without times have a nanosecond between events. */
    this.shortest = Math.min(1000, this.end / 4);
    this.from = this.min = -this.end * .004;
    this.to = this.max = this.end * 1.004;
    this.gutter = 64;
    this.width = 800;
    this.listeners = [];
    this.frame = 0;
    this.animation = 0;
  }

  /** Room is left at the right for the scroll bar of the rows. */
  get plot() { return Math.max(10, this.width - this.gutter - 16); }
  x(time) { return this.gutter + (time - this.from) / (this.to - this.from) * this.plot; }
  time(x) { return this.from + (x - this.gutter) / this.plot * (this.to - this.from); }
  get resolution() { return (this.to - this.from) / this.plot; }

  onDraw(listener) { this.listeners.push(listener); }

  /** Asks for a drawing before the next frame, however often it is called. */
  invalidate() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const listener of this.listeners) listener();
    });
  }

  show(from, to) {
    const length = Math.min(this.max - this.min, Math.max(this.shortest, to - from));
    const middle = (from + to) / 2;
    this.from = Math.max(this.min, Math.min(this.max - length, middle - length / 2));
    this.to = this.from + length;
    this.invalidate();
  }

  /** Goes there in a quarter of a second, or at once for those who asked for no motion. */
  glide(from, to) {
    cancelAnimationFrame(this.animation);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) return this.show(from, to);
    const [from0, to0, began] = [this.from, this.to, performance.now()];
    const [length0, length1] = [to0 - from0, Math.max(this.shortest, to - from)];
    const step = now => {
      const part = Math.min(1, Math.max(0, (now - began) / 260)), ease = 1 - (1 - part) ** 3;
      const length = length0 * (length1 / length0) ** ease;
      // While it shrinks, the middle travels with the length, so that the goal stays in view.
      const share = Math.abs(length1 - length0) > 1 ? (length0 - length) / (length0 - length1) : ease;
      const middle = (from0 + to0) / 2 + ((from + to) / 2 - (from0 + to0) / 2) * share;
      this.show(middle - length / 2, middle + length / 2);
      if (part < 1) this.animation = requestAnimationFrame(step);
    };
    this.animation = requestAnimationFrame(step);
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    this.show(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }

  pan(time) { this.show(this.from + time, this.to + time); }
  reset() { this.glide(this.min, this.max); }

  /** Shows a stretch with room around it. */
  frameAround(from, to, room = .6) {
    const length = Math.max(to - from, 20 * this.shortest);
    this.glide(from - length * room, to + length * room);
  }

  /** Round moments to mark, about `every` pixels apart. */
  ticks(every = 110) {
    const rough = (this.to - this.from) / Math.max(2, this.plot / every);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
    const times = [];
    for (let i = Math.ceil(Math.max(0, this.from) / step); i * step <= Math.min(this.to, this.max); i++) times.push(i * step);
    return { times, text: time => this.end < 1e6 ? span(time) : moment(time, step) };
  }
}

/** Drag, pinch, wheel and double click on the stack. `click`, `hover` and `leave` get a pointer event. */
function listenToGestures(stack, axis, { click, hover, leave, range }) {
  const pointers = new Map();
  let moved = 0, sweep = null;
  const local = event => event.clientX - stack.getBoundingClientRect().left;

  stack.addEventListener("pointerdown", event => {
    if (event.button || event.target.closest("[data-own-drag]")) return;
    pointers.set(event.pointerId, local(event));
    moved = 0;
    sweep = event.shiftKey ? axis.time(local(event)) : null;
  });
  stack.addEventListener("pointermove", event => {
    const x = local(event), before = pointers.get(event.pointerId);
    if (before === undefined) return hover(event);
    moved += Math.abs(x - before);
    if (moved > 4 && !stack.hasPointerCapture(event.pointerId)) {
      stack.setPointerCapture(event.pointerId);
      stack.classList.add("dragging");
    }
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const factor = Math.max(5, Math.abs(before - other)) / Math.max(5, Math.abs(x - other));
      axis.zoom(factor, axis.time((x + other) / 2));
      axis.pan((before - x) / 2 * axis.resolution);
    } else if (sweep !== null) {
      range(sweep, axis.time(x));
    } else if (moved > 4) {
      leave();
      axis.pan((before - x) * axis.resolution);
    }
    pointers.set(event.pointerId, x);
  });
  const release = event => {
    if (!pointers.delete(event.pointerId)) return;
    stack.classList.remove("dragging");
    if (sweep !== null) {
      const to = axis.time(local(event));
      range(null);
      if (moved > 4) axis.glide(Math.min(sweep, to), Math.max(sweep, to));
      sweep = null;
    } else if (moved <= 4 && event.type === "pointerup") click(event);
  };
  stack.addEventListener("pointerup", release);
  stack.addEventListener("pointercancel", release);
  stack.addEventListener("pointerleave", leave);
  stack.addEventListener("dblclick", event => axis.zoom(1 / 3, axis.time(local(event))));
  stack.addEventListener("wheel", event => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    // A plain wheel scrolls the page, unless the reader has taken hold of the timeline.
    if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== stack) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (sideways) axis.pan((event.deltaX || event.deltaY) * unit * axis.resolution);
    else axis.zoom(Math.exp(Math.max(-80, Math.min(80, event.deltaY * unit)) * .006), axis.time(local(event)));
  }, { passive: false });
}
