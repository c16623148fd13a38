// @ts-check
/** The form of a tab: drawn from a schema, judged by the server after each change. */

import { askLatest, debounce } from "./asking.js";
import { publish, subscribe } from "./channel.js";
import { applies } from "./conditions.js";
import { loadStyle } from "./dom.js";
import { Field } from "./fields.js";
import { Help } from "./help.js";
import { Sections } from "./sections.js";
import { keep, restore } from "./store.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").FormProps} Props */
/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Judgement} Judgement */
/** @typedef {import("./types").News} News */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./types").Mounted<Props>} Mounted */

const JUDGE_MS = 60;
const DATA_MS = 400;
const RETRY_MS = 1000;

/**
 * Draw a form into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  const [schema] = await Promise.all([readSchema(mounted.props), loadStyle()]);
  new Form(mounted, schema);
}

/**
 * The schema in the page's language; asked for again while the server does not answer.
 * @param {Props} props
 * @returns {Promise<Schema>}
 */
async function readSchema(props) {
  for (let wait = RETRY_MS; ; wait *= 2) {
    const lang = encodeURIComponent(props.lang);
    const response = await fetch(`${props.schema}?lang=${lang}`).catch(() => undefined);
    if (response?.ok) return response.json();
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

class Form {
  #mounted;
  #schema;
  #help = new Help();
  /** @type {Map<string, Field>} */
  #fields = new Map();
  #sections;
  /** @type {Values} */
  #values;
  /** @type {Judgement | Failure} */
  #judgement = { ok: false };
  #isPressed = false;
  #askSoon;
  #ask;
  #data = "";
  #triggerData;

  /**
   * @param {Mounted} mounted
   * @param {Schema} schema
   */
  constructor(mounted, schema) {
    const { element, props } = mounted;
    this.#mounted = mounted;
    this.#schema = schema;
    for (const name of Object.keys(schema.fields)) this.#fields.set(name, this.#makeField(name));
    this.#sections = new Sections(element, props.prefix, schema, this.#fields);
    this.#sections.setTexts(schema);
    this.#ask = askLatest(
      () => mounted.server.judge(this.#question()),
      (answer) => this.#judge(answer),
    );
    this.#askSoon = debounce(JUDGE_MS, this.#ask);
    this.#triggerData = debounce(DATA_MS, () => mounted.trigger("data"));
    const defaults = this.#defaults();
    this.#data = this.#dataOf(defaults);
    this.#values = { ...defaults, ...restore(props.prefix, schema), ...props.value };
    this.#show();
    this.#listen();
    this.#follow();
    this.#ask();
  }

  /** @returns {Values} */
  #defaults() {
    return Object.fromEntries(
      Object.entries(this.#schema.fields).map(([name, field]) => [
        name,
        field.default ?? (field.kind === "several" ? [] : ""),
      ]),
    );
  }

  /** @param {string} name */
  #makeField(name) {
    return new Field({
      id: this.#mounted.props.prefix + name,
      data: this.#schema.fields[name],
      words: this.#schema.words,
      help: this.#help,
      offers: (kind) => this.#offers(kind),
      changed: () => this.#take(name),
    });
  }

  #listen() {
    const { element, props, watch } = this.#mounted;
    watch("value", () => this.#fill(props.value ?? {}));
    watch("outer", () => this.#follow());
    watch("lang", () => this.#speak());
    subscribe(props.prefix, element, (news) => {
      if (news.kind === "pressed") this.#press();
      if (news.kind === "missing") this.#sections.reveal(this.#fields.get(news.name));
    });
  }

  /**
   * The person has changed a field.
   * @param {string} name
   */
  #take(name) {
    const field = this.#fields.get(name);
    if (!field) return;
    this.#values = { ...this.#values, [name]: field.value };
    this.#follow();
    this.#remark();
  }

  /**
   * Python has changed values: what it has put there is nobody's fault yet.
   * @param {Values} values
   */
  #fill(values) {
    const fresh = { ...this.#values, ...values };
    if (JSON.stringify(fresh) === JSON.stringify(this.#values)) return;
    for (const [name, field] of this.#fields) {
      if (JSON.stringify(fresh[name]) !== JSON.stringify(this.#values[name])) {
        field.isTouched = false;
      }
    }
    this.#values = fresh;
    this.#isPressed = false;
    this.#show();
    this.#follow();
  }

  #show() {
    for (const [name, field] of this.#fields) field.value = this.#values[name];
  }

  /** What follows from the values: what is seen, kept, known to Python and asked. */
  #follow() {
    const { props } = this.#mounted;
    const all = this.#all();
    for (const [name, field] of this.#fields) {
      const hidden = !applies(this.#schema.fields[name], all);
      if (field.root.hidden !== hidden) field.root.hidden = hidden;
    }
    this.#sections.update();
    if (JSON.stringify(props.value) !== JSON.stringify(this.#values)) {
      props.value = { ...this.#values };
    }
    keep(props.prefix, this.#schema, this.#values);
    publish(props.prefix, { kind: "asked" });
    this.#askSoon();
    const data = this.#dataOf(all);
    if (data !== this.#data) this.#triggerData();
    this.#data = data;
  }

  #all() {
    return { ...this.#mounted.props.outer, ...this.#values };
  }

  /** @param {Values} values */
  #dataOf(values) {
    return JSON.stringify((this.#mounted.props.data_names ?? []).map((name) => values[name]));
  }

  #question() {
    const { lang, model, name } = this.#mounted.props;
    return { values: this.#all(), lang, model, name };
  }

  /** @param {Judgement | Failure | undefined} answer */
  #judge(answer) {
    this.#judgement = answer ?? { ok: false };
    this.#remark();
    const { prefix } = this.#mounted.props;
    publish(prefix, { kind: "judged", judgement: this.#judgement });
  }

  #remark() {
    const remarks = this.#judgement.ok ? this.#judgement.fields : {};
    for (const [name, field] of this.#fields) {
      field.setRemark(remarks[name], this.#isPressed || field.isTouched);
    }
  }

  /** Start was pressed: whatever is wrong is said, and judged as it is now. */
  #press() {
    this.#isPressed = true;
    this.#remark();
    this.#ask();
  }

  /**
   * @param {string} kind
   * @returns {Promise<Group[]>}
   */
  async #offers(kind) {
    const answer = await this.#mounted.server.offers({ kind, ...this.#question() });
    if (answer?.ok) return answer.groups;
    throw new Error(answer?.error || this.#schema.words.unchecked);
  }

  /** The texts in another language; what is typed, and where, stays. */
  async #speak() {
    const { props } = this.#mounted;
    const { lang } = props;
    const schema = await readSchema(props);
    if (lang !== props.lang) return;
    this.#schema = schema;
    this.#help.hide();
    for (const [name, field] of this.#fields) field.setTexts(schema.fields[name], schema.words);
    this.#sections.setTexts(schema);
    this.#sections.update();
    this.#ask();
  }
}
