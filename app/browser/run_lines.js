// @ts-check
/** The lines of a run's curves: as the server gave them, and the points that came since. */

/** @typedef {import("./run_types").Line} Line */
/** @typedef {import("./run_types").LinesNews} LinesNews */
/** @typedef {import("./run_types").Points2d} Points */

/** @type {Points} */
const NOTHING = { x: [], y: [] };

export class Lines {
  /** @type {Map<string, Line>} */
  #lines = new Map();

  clear() {
    this.#lines.clear();
  }

  /** @param {LinesNews} news */
  take(news) {
    if (news.anew) {
      this.#lines = new Map(
        Object.entries(news.lines).map(([name, line]) => [name, /** @type {Line} */ (line)]),
      );
      return;
    }
    for (const [name, points] of Object.entries(news.lines)) {
      const line = this.#lines.get(name);
      if (line) append(line, points);
    }
  }

  /** Whether one has grown so far that it should be read anew: thinned and smoothed as a whole. */
  get isOld() {
    return [...this.#lines.values()].some((line) => line.count >= line.again_at);
  }

  get isEmpty() {
    return ![...this.#lines.values()].some((line) => line.x.length);
  }

  /** @param {string} name */
  points(name) {
    return this.#lines.get(name) ?? NOTHING;
  }

  /**
   * The moving average of a line; undefined while it has too few points for one.
   * @param {string} name
   * @returns {Points | undefined}
   */
  smooth(name) {
    return this.#lines.get(name)?.smooth;
  }
}

/**
 * @param {Line} line
 * @param {Points} points
 */
function append(line, points) {
  line.count += points.x.length;
  line.x.push(...points.x);
  line.y.push(...points.y);
  const { smooth } = line;
  if (!smooth) return;
  smooth.x.push(...points.x);
  for (const value of points.y) {
    if (value !== null) {
      smooth.total = smooth.keep * smooth.total + (1 - smooth.keep) * value;
      smooth.weight = smooth.keep * smooth.weight + (1 - smooth.keep);
    }
    smooth.y.push(value === null ? null : smooth.total / smooth.weight);
  }
}

/**
 * The lowest point of a line of at least two.
 * @param {Points} line
 */
export function lowest(line) {
  const known = line.x.flatMap((x, at) => {
    const y = line.y[at];
    return y === null ? [] : [{ x, y }];
  });
  if (known.length < 2) return undefined;
  return known.reduce((low, point) => (point.y < low.y ? point : low));
}

/**
 * Where lines have gaps: at the height of their last good value, so that a mark can be seen.
 * @param {Points[]} lines
 * @param {number} most
 * @returns {Points}
 */
export function gaps(lines, most) {
  const marks = lines.flatMap((line) => {
    let last = line.y.find((value) => value !== null) ?? 0;
    return line.x.flatMap((x, at) => {
      const y = line.y[at];
      last = y ?? last;
      return y === null ? [{ x, y: last }] : [];
    });
  });
  const every = Math.ceil(marks.length / most);
  const shown = marks.filter((_, at) => at % every === 0);
  return { x: shown.map((mark) => mark.x), y: shown.map((mark) => mark.y) };
}
