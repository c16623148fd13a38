/** What a form is made from and what it sends: the data between Python and the browser. */

/** What a field holds: a text, a switch, or a list of names. */
export type Raw = string | boolean | string[];
export type Values = Record<string, Raw>;

export interface Field {
  kind: "text" | "area" | "number" | "bool" | "choice" | "radio" | "one" | "several" | "secret";
  label: string;
  help: string;
  default: Raw | null;
  optional?: boolean;
  /** (value, text) pairs: all values of a choice, or what a list of names offers at once. */
  choices: [string, string][];
  /** The field applies where each named field has one of these values. */
  when: [string, unknown[]][];
  /** The field that holds further options of a choice, as texts. */
  source?: string;
  /** What server.offers is asked for when the list opens; "" for nothing. */
  offers: string;
  secret?: boolean;
  range?: string;
  doc?: string;
  placeholder?: string;
}

export interface Section {
  id: string;
  title: string;
  slot: "first" | "rest";
  closed?: boolean;
  rows: string[][];
}

/** The texts of a form that belong to no field. */
export interface Words {
  more_about: string;
  changed: string;
  put_back: string;
  range: string;
  docs: string;
  options: string;
  no_match: string;
  free_text: string;
  remove: string;
  open_list: string;
  loading: string;
  unchecked: string;
  /** The switch between the modes, and what it is called for a screen reader. */
  mode: string;
  simple: string;
  advanced: string;
  hidden_changed: string;
  hidden_wrong: string;
  show: string;
  defaults: string;
  defaults_done: string;
  undo: string;
}

export interface Schema {
  lang: string;
  sections: Section[];
  fields: Record<string, Field>;
  /** The fields that are seen in simple mode; none for a form that has only one mode. */
  simple: string[];
  /** Names that must not be kept in the browser, even where they stand in the free field. */
  secrets: string[];
  free: string;
  words: Words;
}

export interface Remark {
  text: string;
  level: "error" | "notice";
}

export interface Judgement {
  ok: true;
  fields: Record<string, Remark>;
  command: string;
  missing: string;
  missing_field: string;
  problems: string[];
  startable: boolean;
  /** Values for fields in which nothing is typed, such as a name by the time. */
  put?: Values;
  /** Values that follow from the number of rows; none of a form that has no such fields. */
  follow?: Followed;
}

/** Values that follow from the number of rows, what is said of them, and the name of the way back. */
export interface Followed {
  values: Values;
  line: string;
  back: string;
}

/** By language, why nothing came of it. */
export interface Failure {
  ok: false;
  errors?: Record<string, string>;
}

export interface Group {
  title: string;
  options: [string, string][];
}

export interface Offers {
  ok: true;
  groups: Group[];
}

export interface Question {
  values: Values;
  lang: string;
}

/** A function of the server whose error is `undefined`, not a rejection. */
export interface Server {
  judge(question: Question): Promise<Judgement | Failure | undefined>;
  offers(question: Question & { kind: string }): Promise<Offers | Failure | undefined>;
}

export interface FormData {
  /** Its name. */
  form: string;
  /** What the element ids of its fields begin with. */
  prefix: string;
  /** Where its schema is read. */
  schema: string;
  /** The name of the form whose fields belong to this one, too; "" for none. */
  bar: string;
  /** The fields whose values stand in the address of the page. */
  address: string[];
  /** The fields whose values follow from the number of rows while nobody has set them. */
  following: string[];
  /** By field, the kind of offers whose one option is put in where it is empty at first. */
  preselected: Record<string, string>;
}

/** What the model bar says of the chosen model: (label, value) pairs. */
export interface Facts {
  ok: true;
  title: string;
  facts: [string, string][];
}

export interface FactsServer {
  look_up(question: { model: string; lang: string }): Promise<Facts | undefined>;
}

/** What Gradio gives to a component's script; `data` is what it is told once and for all. */
export interface Mounted<Value, Data, Functions = Server> {
  element: HTMLElement;
  props: { value: Value | null };
  data: Data;
  server: Functions;
  trigger(event: string, data?: object): void;
  watch(names: string | string[], act: () => void): void;
  /** What it may trigger. */
  events: string[];
}

export interface LaunchWords {
  start: string;
  heard: string;
  problems: string;
  command: string;
  copy: string;
  copied: string;
  lost: string;
  queue: string;
  instead: string;
  /** Of the memory that is needed; none where it is not shown. */
  title?: string;
  parts?: string;
  fix?: string;
  fixed?: string;
  course?: string;
  measure?: string;
  measuring?: string;
  cancel?: string;
  use?: string;
  used?: string;
  undo?: string;
}

export interface LaunchState {
  /** idle, heard, started or refused. */
  state: string;
  /** What was answered, by language. */
  texts: Record<string, string>;
  /** How it is to be started: "" at once, "queue", or "instead" of the run in the way. */
  how: string;
  /** Whether those two help, as a run is in the way. */
  offers: boolean;
}

export interface LaunchServer {
  is_free(asked: object): Promise<{ free: boolean } | undefined>;
  memory(question: Question): Promise<MemoryView | Failure | undefined>;
  fit(question: Question): Promise<MemoryFit | Failure | undefined>;
  course(question: Question): Promise<CourseView | Failure | undefined>;
  measure(question: Question): Promise<{ ok: true } | Failure | undefined>;
  cancel(question: { lang: string }): Promise<unknown>;
}

/** Time and steps of a training in words, what is worth knowing, and values that suit few rows. */
export interface CourseView {
  ok: true;
  lines: string[];
  notices: string[];
  suggestion: string;
  put: Values;
  /** Whether measuring some steps would say more of the time. */
  measurable: boolean;
}

/** The nearest settings that fit: each change with its cost, and what the fields hold then. */
export interface MemoryFit {
  ok: true;
  lines: { change: string; cost: string }[];
  needed: string;
  put: Values;
}

/** A part of the memory that a training needs, in bytes; parts of a like kind share a color. */
export interface MemoryPart {
  kind: string;
  name: string;
  size: number;
  text: string;
}

/** Where a training computes: bytes that are free there, in words, and in words with all parts. */
export interface MemoryPlace {
  free: number;
  line: string;
  label: string;
}

export type MemoryView =
  | { ok: true; state: "none" }
  | { ok: true; state: "unknown"; line: string }
  | {
      ok: true;
      state: "fits" | "tight" | "exceeds";
      total: number;
      parts: MemoryPart[];
      places: MemoryPlace[];
      notes: string[];
    };

export interface LaunchData {
  /** The name of the form that is started, and of the one whose fields belong to it, too. */
  form: string;
  bar: string;
  /** Whether the memory that it needs is shown. */
  memory: boolean;
  /** The element id of the panel that shows the run. */
  panel: string;
  prefix: string;
  /** By language. */
  words: Record<string, LaunchWords>;
}

/** A value that a purpose puts into the form, or that the person's own stands in place of. */
export interface AdviceLine {
  name: string;
  title: string;
  value: Raw;
  /** What the form holds in the end, in words. */
  shown: string;
  reason: string;
  own: boolean;
}

export interface AdviceView {
  ok: true;
  lines: AdviceLine[];
  put: Values;
}

export interface PurposeServer {
  advise(
    question: Question & { purpose: string; put: Values; followed: Values },
  ): Promise<AdviceView | Failure | undefined>;
}

export interface PurposeData {
  /** The form that is filled, and the one whose fields belong to it, too. */
  form: string;
  bar: string;
  purposes: string[];
  /** By language. */
  words: Record<string, Record<string, string>>;
}

export interface GuideData {
  /** The answers of each question. */
  questions: Record<string, string[]>;
  /** The recipe by the answers, with spaces between. */
  ways: Record<string, string>;
  /** By language. */
  words: Record<string, Record<string, string>>;
}

/** What a form tells its launch box, and the other way. */
export type News =
  | { kind: "values"; values: Values; followed?: Values; own?: string[] }
  | { kind: "asked"; isEdited: boolean }
  | { kind: "judged"; judgement: Judgement | Failure }
  | { kind: "pressed" }
  | { kind: "started" }
  | { kind: "missing"; name: string }
  | { kind: "change"; values: Values; free?: string[] };

/** A button in a row; `question` has to be confirmed first, where there is one. */
export interface ListAction {
  name: string;
  text: string;
  question?: string;
  confirm?: string;
}

/** A text, what stands below it, the tone that makes it a pill, an ISO time, and what its column is
 * sorted by instead of the text. */
export interface ListCell {
  text?: string;
  detail?: string;
  tone?: string;
  time?: string;
  number?: number;
}

export interface ListRow {
  key: string;
  cells: ListCell[];
  actions?: ListAction[];
  /** Whether it cannot be chosen. */
  fixed?: boolean;
}

/** The column that a person has sorted by. */
export interface ListOrder {
  column: number;
  isDown: boolean;
}

export interface ListView {
  ok: true;
  columns: string[];
  /** Which columns hold numbers. */
  numbers: number[];
  /** See app/form/list_changes.py, as for the four that follow. */
  rows: ListRow[];
  places: number[] | null;
  gone: string[];
  count: number;
  cursor: string;
  empty: string;
  begin: ListAction | null;
  words: { filter: string; no_match: string; no: string; unread: string };
  /** Of what is done with ticked rows. */
  picks: Record<string, string>;
}

export interface ListQuestion {
  lang: string;
  place: string;
}

/** What came of what was done with ticked rows. */
export interface ListPickAnswer {
  ok: true;
  /** Before a deletion. */
  question?: string;
  /** After it, by language. */
  words?: Record<string, string>;
  /** The key of a renamed row. */
  key?: string;
  /** A comparison: the names of the runs, and of each the curves of its losses. */
  names?: string[];
  lines?: Record<string, { x: number[]; y: (number | null)[] }>[];
  tables?: ComparedTable[];
}

/** `empty` is said where it has no rows; the first cell of each row is its title. */
export interface ComparedTable {
  title: string;
  empty: string;
  columns: string[];
  rows: string[][];
}

export interface ListServer {
  /** Of lists whose rows can be ticked. */
  pick(question: {
    do: string;
    keys: string[];
    lang: string;
  }): Promise<ListPickAnswer | Failure | undefined>;
  read(
    question: ListQuestion & { cursor: string; first: boolean },
  ): Promise<ListView | Failure | undefined>;
  act(
    question: ListQuestion & { action: string; key: string },
  ): Promise<{ ok: true; words: Record<string, string> } | Failure | undefined>;
}

export interface ListData {
  prefix: string;
  /** Whether the first row is chosen while none is. */
  first: boolean;
  filtered: boolean;
  /** Whether its rows can be ticked. */
  picks: boolean;
  /** Where the things of the list lie at first. */
  place: string;
  /** The parts of the news after which it is read again. */
  news: string[];
  /** Its name by language, for those who do not see it. */
  label: Record<string, string>;
}

/** What was left out or changed, with the rows and the first of them. */
export interface WorkItem {
  text: string;
  summary: string;
  example: string;
}

export interface WorkTable {
  columns: string[];
  rows: string[][];
}

export interface WorkState {
  state: "idle" | "busy" | "ended";
  /** How far it is, from 0 to 1; null where that is not known. */
  share?: number | null;
  /** How far it is in words, by language. */
  words?: Record<string, string>;
  /** What came of it, by language. */
  report?: Record<string, WorkReport>;
}

export interface WorkReport {
  lines?: string[];
  items?: WorkItem[];
  table?: WorkTable | null;
}

export interface WorkData {
  prefix: string;
  /** By language. */
  words: Record<string, { start: string; stop: string }>;
}

export interface StepsData {
  steps: string[];
  /** Where this browser keeps the name of the set. */
  kept: [string, string];
  /** By language: the texts of the steps; label, chosen and none are those of the path. */
  words: Record<string, Record<string, string>>;
}

/** What Python shows (`version` tells its answers apart), and what was typed since. */
export interface Edited {
  shown?: {
    /** By language. */
    note: Record<string, string>;
    row: string;
    columns: string[];
    values: string[];
    version: number;
  };
  act?: string;
  at?: string;
  row?: string;
  values?: string[];
  into?: string;
}

export interface EditorData {
  prefix: string;
  /** By language. */
  words: Record<string, Record<string, string>>;
}

/** An element that Python describes: its tag and classes ("div.seen-row"), and what is inside. */
export interface Tree {
  kind: string;
  inside: (Tree | string)[];
  marks: { title?: string; open?: boolean };
}

/** Which rows of a data set are asked for: the view, the number of the first row (from 0), and
 * words that they must hold. */
export interface RowsQuery {
  view: string;
  first: number;
  words: string;
}

/** What Python shows (`version` tells its answers apart). */
export interface RowsShown {
  /** The position in words, or with `wrong` why nothing is shown. */
  where: string;
  wrong: boolean;
  rows: Tree[];
  /** The number of the row that Next begins with. */
  onward: number;
  version: number;
}

export type RowsValue = RowsQuery & { lang?: string; shown?: RowsShown };

export interface RowsData {
  prefix: string;
  /** The form whose data set it shows; "" where Python says which. */
  form: string;
  views: string[];
  /** How many rows are on a page. */
  page: number;
  /** By language. */
  words: Record<string, Record<string, string>>;
}

export interface LengthsValue {
  exact?: boolean;
  /** Whether it is still measured. */
  busy?: boolean;
  /** By language. */
  words?: Record<string, { said?: Tree[]; figure?: { traces: object[]; layout: object } }>;
}

export interface LengthsData {
  prefix: string;
  /** By language. */
  words: Record<string, Record<string, string>>;
}

/** An argument that differs from the run's: what happens to it (`text`), and how that is marked. */
export interface Change {
  name: string;
  then: string;
  now: string;
  kind: string;
  tone: string;
  text: string;
}

export interface ResumeValue {
  lines?: string[];
  changes?: Change[];
  wrong?: string[];
  /** Whether the button can be pressed. */
  ready?: boolean;
}

export interface ResumeData {
  prefix: string;
  /** By language: the button, and the titles of the table. */
  words: Record<string, Record<string, string>>;
}

/** What was found on a hub: what it is in a line, and what stands in the way. */
export interface HubResult {
  name: string;
  detail: string;
  note: string;
  /** Whether it can be trained here, as far as its hub says. */
  is_usable: boolean;
}

/** A download: its share from 0 to 1, null before the hub has told its size. */
export interface HubTransfer {
  name: string;
  hub: string;
  step: "busy" | "stopped" | "failed" | "done";
  share: number | null;
  line: string;
  /** What has come of it: a folder, or the name of a registered data set. */
  result: string;
}

/** The first rows of a data set, as texts. */
export interface HubLook {
  ok: true;
  line: string;
  columns: string[];
  cells: string[][];
}

/** What was downloaded; `time` is that of its last use (ISO). */
export interface HubDownload {
  name: string;
  hub: string;
  detail: string;
  time: string;
  is_whole: boolean;
  /** What is asked before it is deleted. */
  question: string;
}

export interface HubQuestion {
  lang: string;
  hub?: string;
  name?: string;
  words?: string;
  token?: string;
}

export interface HubRows<Row> {
  ok: true;
  rows: Row[];
}

export interface HubServer {
  search(question: HubQuestion): Promise<HubRows<HubResult> | Failure | undefined>;
  get(question: HubQuestion): Promise<HubRows<HubTransfer> | Failure | undefined>;
  cancel(question: HubQuestion): Promise<HubRows<HubTransfer> | Failure | undefined>;
  progress(question: HubQuestion): Promise<HubRows<HubTransfer> | Failure | undefined>;
  /** Of data sets alone. */
  look(question: HubQuestion): Promise<HubLook | Failure | undefined>;
  disk(
    question: HubQuestion,
  ): Promise<(HubRows<HubDownload> & { line: string }) | Failure | undefined>;
  remove(
    question: HubQuestion,
  ): Promise<{ ok: true; words: Record<string, string> } | Failure | undefined>;
}

export interface HubData {
  kind: "model" | "dataset";
  /** The form that holds the tokens. */
  form: string;
  /** The field of the token of each hub. */
  tokens: Record<string, string>;
  hubs: string[];
  example: string;
  /** Those whose data sets can be looked at before they are downloaded. */
  looks: string[];
  /** By language. */
  words: Record<string, Record<string, string>>;
}
