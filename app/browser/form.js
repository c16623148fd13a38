// @ts-check
/** The form of a tab: drawn from a schema, judged by the server after each change. */

import { writeFields } from "./address.js";
import { publish, subscribe } from "./channel.js";
import { loadStyle } from "./dom.js";
import { FormFields } from "./form_fields.js";
import { Questions } from "./form_questions.js";
import { FormValues } from "./form_values.js";
import { language, onLanguage } from "./language.js";
import { Modes } from "./modes.js";
import { Proposals } from "./proposals.js";
import { readSchema } from "./schemas.js";
import { Sections } from "./sections.js";
import { keep, restore } from "./store.js";
import { showBar } from "./tabs.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").FormData} Data */
/** @typedef {import("./types").Judgement} Judgement */
/** @typedef {import("./types").News} News */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./types").Mounted<Values, Data>} Mounted */

/**
 * Draw a form into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  const lang = language();
  const [schema] = await Promise.all([readSchema(mounted.data.schema), loadStyle("form.css")]);
  const form = new Form(mounted, schema);
  if (lang !== language()) form.speak();
}

class Form {
  #mounted;
  #schema;
  #fields;
  #sections;
  #modes;
  #proposals;
  /** @type {FormValues | undefined} Nothing while the fields are made. */
  #held;
  #questions;
  #isPressed = false;

  /**
   * @param {Mounted} mounted
   * @param {Schema} schema
   */
  constructor(mounted, schema) {
    const { element, props, data } = mounted;
    this.#mounted = mounted;
    this.#schema = schema;
    this.#fields = new FormFields(data.prefix, schema, {
      read: () => this.#held?.all,
      offers: (kind) => this.#questions.offers(kind, this.#schema.words),
      changed: (name) => this.#take(name),
    });
    this.#sections = new Sections(element, data.prefix, schema, this.#fields.all);
    this.#sections.setTexts(schema);
    this.#modes = this.#makeModes();
    this.#proposals = this.#makeProposals();
    const held = { ...restore(data.form, schema), ...props.value };
    this.#held = new FormValues(data, schema, this.#proposals, held);
    this.#questions = new Questions(
      mounted,
      () => this.#values.describe(),
      (answer, isNew) => this.#judge(answer, isNew),
    );
    this.#show();
    this.#listen();
    this.#follow();
    for (const name of Object.keys(data.preselected)) this.#preselect(name);
  }

  get #values() {
    return /** @type {FormValues} */ (this.#held);
  }

  #makeModes() {
    const { element, data } = this.#mounted;
    const place = /** @type {HTMLElement} */ (element.querySelector(".form-first, .form-rest"));
    const modes = new Modes(place, data, this.#schema, this.#fields.all, {
      changed: () => this.#adapt(),
      open: (field) => this.#sections.open(field),
      reset: () => this.#replace(() => this.#values.reset()),
      undo: () => this.#replace(() => this.#values.undo()),
    });
    modes.setTexts(this.#schema);
    return modes;
  }

  #makeProposals() {
    const { following, prefix } = this.#mounted.data;
    const proposals = new Proposals(following, `${prefix}follow-back`, () => this.#dismiss());
    const [first] = following.flatMap((name) => this.#fields.get(name) ?? []);
    if (first) this.#sections.introduce(first, proposals.root);
    return proposals;
  }

  #listen() {
    const { element, props, data, watch } = this.#mounted;
    watch("value", () => this.#fill(props.value ?? {}));
    onLanguage(element, () => this.speak());
    subscribe(data.form, element, (news) => this.#hear(news));
    if (data.bar) {
      subscribe(data.bar, element, (news) => {
        if (news.kind === "values") this.#adapt();
      });
    }
    this.#questions.listen();
    for (const name of data.following) {
      this.#fields.get(name)?.root.addEventListener("focusout", () => this.#catchUp());
    }
  }

  /**
   * Where a field is empty and there is but one choice, nobody has to make it.
   * @param {string} name
   */
  async #preselect(name) {
    const isFree = () => !this.#values.all[name] && !this.#fields.hasFocus(name);
    if (!isFree()) return;
    const kind = this.#mounted.data.preselected[name];
    const groups = await this.#questions.offers(kind, this.#schema.words).catch(() => []);
    const options = groups.flatMap((group) => group.options);
    const isTouched = this.#fields.get(name)?.isTouched;
    if (options.length === 1 && isFree() && !isTouched) this.#change({ [name]: options[0][0] }, []);
  }

  /** What was left out while somebody might have typed is asked for once more. */
  #catchUp() {
    if (this.#proposals.isLate) this.#questions.request(false);
  }

  /** @param {News} news */
  #hear(news) {
    if (news.kind === "pressed") this.#press();
    if (news.kind === "missing") this.#reveal(news.name);
    if (news.kind === "started") this.#takeBack();
    if (news.kind === "change") this.#change(this.#fields.pick(news.values), news.free ?? []);
    const { bar } = this.#mounted.data;
    if (bar && ["pressed", "missing", "change"].includes(news.kind)) publish(bar, news);
    if (!this.#questions.isOwn && news.kind === "judged") {
      this.#questions.judgement = news.judgement;
      this.#remark();
    }
  }

  /**
   * The person has changed a field.
   * @param {string} name
   */
  #take(name) {
    const field = this.#fields.get(name);
    if (!field) return;
    this.#values.type(name, field.value);
    this.#questions.acquit(name);
    this.#follow();
    this.#remark();
  }

  /**
   * Put other values into all fields.
   * @param {() => void} put
   */
  #replace(put) {
    this.#fields.excuse(this.#fields.all.keys());
    put();
    this.#show();
    this.#follow();
    this.#remark();
  }

  /**
   * Python has changed values.
   * @param {Values} values
   */
  #fill(values) {
    if (!this.#values.includes(values)) this.#change(values, this.#values.pickFree(values));
  }

  /**
   * Put in values that did not come from its own fields: they are nobody's fault yet.
   * @param {Values} values
   * @param {string[]} free  those of the fields that nobody has set then
   */
  #change(values, free) {
    this.#fields.excuse(this.#values.change(values, free));
    this.#isPressed = false;
    this.#show();
    this.#follow();
  }

  #show() {
    this.#fields.fill(this.#values.all, this.#proposals);
  }

  /** What follows from its values: they are known to Python, kept, and known to others. */
  #follow() {
    const { props, data } = this.#mounted;
    const { all, defaults, isUndoable } = this.#values;
    const held = props.value || defaults; // as Python takes none
    if (JSON.stringify(held) !== JSON.stringify(all)) props.value = { ...all };
    keep(data.form, this.#schema, this.#proposals.pickTyped(all), this.#proposals.own);
    writeFields(data.address, this.#schema, all);
    this.#modes.offerUndo(isUndoable);
    this.#adapt();
    this.#tell();
  }

  /** Tell others what it holds, and what of it is nobody's own. */
  #tell() {
    publish(this.#mounted.data.form, {
      kind: "values",
      values: this.#values.all,
      followed: this.#proposals.pick(this.#values.all),
      own: this.#proposals.own,
    });
  }

  /**
   * What follows from its values and those of the bar: what is seen, and what is to be said of it.
   * Python may have changed both: `props.value` is left alone, its own values are still to come.
   */
  #adapt() {
    this.#fields.adapt(this.#values.withBar, (name) => this.#modes.shows(name));
    this.#sections.update();
    this.#modes.update();
    this.#questions.request(true);
  }

  /**
   * Open whatever hides a field.
   * @param {string} name
   */
  #reveal(name) {
    const field = this.#fields.get(name);
    if (!field) return;
    if (!this.#questions.isOwn) showBar();
    if (!this.#modes.shows(name)) this.#modes.choose("advanced");
    this.#sections.open(field);
  }

  /** Values that nobody typed were put in: they are seen, and known to Python. */
  #showPut() {
    this.#mounted.props.value = { ...this.#values.all };
    this.#show();
  }

  /** The defaults are wanted in place of what follows from the number of rows. */
  #dismiss() {
    const values = this.#values.pickFollowing();
    this.#change(values, []);
    this.#fields.get(Object.keys(values)[0])?.focus();
  }

  /** A run was started: the next one has another name. */
  #takeBack() {
    this.#values.takeBack();
    this.#show();
    this.#follow();
  }

  /**
   * Put in what follows from the number of rows, whose command came with it, and what is suggested for
   * fields in which nothing is typed.
   * @param {Judgement | Failure | undefined} answer
   * @param {boolean} isNew  whether it is of the values that stand there now
   */
  #judge(answer, isNew) {
    const { hasFocus } = this.#fields;
    const { form, bar } = this.#mounted.data;
    this.#questions.judgement = answer ?? { ok: false };
    if (answer?.ok && isNew && this.#values.follow(answer.follow, hasFocus)) {
      this.#showPut();
      this.#sections.update();
      this.#tell();
    }
    if (answer?.ok && this.#values.suggest(answer.put ?? {}, hasFocus)) this.#showPut();
    this.#remark();
    for (const name of bar ? [form, bar] : [form]) {
      publish(name, { kind: "judged", judgement: this.#questions.judgement });
    }
  }

  #remark() {
    this.#fields.remark(this.#questions.judgement, this.#isPressed);
    this.#modes.update();
  }

  /** Start was pressed: whatever is wrong is said, and judged as it is now. */
  #press() {
    this.#isPressed = true;
    this.#remark();
    this.#questions.askNow();
  }

  /** The texts in another language; what is typed, and where, stays. */
  async speak() {
    const lang = language();
    const schema = await readSchema(this.#mounted.data.schema);
    if (lang !== language()) return;
    this.#schema = schema;
    this.#fields.setTexts(schema);
    this.#sections.setTexts(schema);
    this.#sections.update();
    this.#modes.setTexts(schema);
    this.#modes.update();
    this.#questions.request(false);
  }
}
