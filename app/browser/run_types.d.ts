/** What the server tells of a run (app/services/page/run_feed.py), and what a panel is given. */

export interface Tile {
  title: string;
  value: string;
  note: string;
}

export interface RunButton {
  /** The event that a press triggers. */
  name: string;
  text: string;
  enabled: boolean;
  primary: boolean;
}

export interface Head {
  name: string;
  state: string;
  kind: string;
  ended: boolean;
  /** From 0 to 1; null while that is unknown. */
  share: number | null;
  progress: string;
  tiles: Tile[];
  problem: string;
  notices: string;
  fix: string;
  /** Whether what helps is still being computed. */
  is_due: boolean;
  buttons: RunButton[];
  /** Whether it can go on with other arguments. */
  resumable: boolean;
  files: string;
  /** Where its log is downloaded; "" for nowhere. */
  download: string;
  /** Commands that run an exported model, and where it is downloaded; "" for nowhere. */
  use: { commands: string[]; download: string };
}

export interface Table {
  columns: string[];
  rows: string[][];
}

export type Machine = Table & { disk: string };
export type Points = Table & { title: string };

export interface Metric {
  name: string;
  meaning: string;
}

export interface Curves {
  /** What is said before the first point. */
  empty: string;
  metrics: Metric[];
}

/** Steps and values; null where a line has a gap. */
export interface Points2d {
  x: number[];
  y: (number | null)[];
}

/** An exponential moving average: its line, and how it stands after the last value. */
export type Smooth = Points2d & { keep: number; total: number; weight: number };

export type Line = Points2d & {
  /** The number of points that it was thinned from, and at which it is to be read anew. */
  count: number;
  again_at: number;
  smooth?: Smooth;
};

export interface LinesNews {
  cursor: string;
  anew: boolean;
  lines: Record<string, Line | Points2d>;
}

export interface LogNews {
  cursor: string;
  anew: boolean;
  text: string;
  rest: string;
  note: string;
}

export interface RunAnswer {
  stamp: string;
  head?: Head;
  machine?: Machine | null;
  points?: Points;
  curves?: Curves | null;
  metrics?: LinesNews;
  log?: LogNews;
}

/** What a panel shows of a run. */
export interface View {
  run: string;
  lang: string;
  series: string[];
  search: string;
}

export interface RunData {
  /** What the element ids begin with. */
  prefix: string;
  /** The folder that holds the runs. */
  saves: string;
  /** Whether the newest run is shown where there is none. */
  opens_latest: boolean;
  /** By language. */
  words: Record<string, Record<string, string>>;
}

/** What a press asks for: the run's folder; for a new start also what the form of Train holds, how
 * it starts ("" at once, or an offer's name), and the runs that the last answer named. */
export interface RunPress {
  run: string;
  values: import("./types").Values;
  how: string;
  in_way: string[];
}

/** Why a press came to nothing, and the runs that were in the way of a new start. */
export type RunRefusal = import("./types").Failure & { in_way?: string[] };
export type RunPressed = { ok: true; run: string } | RunRefusal;

/** Functions of the server; an error that they do not tell is `undefined`. */
export type RunServer = Record<
  "stop" | "resume" | "restart",
  (press: RunPress) => Promise<RunPressed | undefined>
> & { latest(asked: object): Promise<{ run: string } | undefined> };

/** What we use of plotly.js. */
export interface Plotly {
  react(box: HTMLElement, data: object[], layout: object, config: object): Promise<unknown>;
  Plots: { resize(box: HTMLElement): void };
}

declare global {
  interface Window {
    Plotly: Plotly;
  }
}
