// @ts-check
/** The form of a tab: drawn from a schema, judged by the server after each change. */

import { openedFields, writeFields } from "./address.js";
import { publish, subscribe, valuesOf } from "./channel.js";
import { applies } from "./conditions.js";
import { loadStyle } from "./dom.js";
import { Field } from "./fields.js";
import { Help } from "./help.js";
import { language, onLanguage } from "./language.js";
import { Modes } from "./modes.js";
import { Proposals } from "./proposals.js";
import { askLatest, debounce } from "./requests.js";
import { readSchema } from "./schemas.js";
import { Sections } from "./sections.js";
import { keep, restore } from "./store.js";
import { showBar } from "./tabs.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").FormData} Data */
/** @typedef {import("./types").Followed} Followed */
/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Judgement} Judgement */
/** @typedef {import("./types").News} News */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./types").Mounted<Values, Data>} Mounted */
/** @typedef {import("./proposals.js").State} State */
/** @typedef {{ values: Values, state: State }} Before */

const JUDGE_MS = 25; // less than between two letters; a paste or a choice comes at once

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
  #help = new Help();
  /** @type {Map<string, Field>} */
  #fields = new Map();
  #sections;
  #modes;
  #proposals;
  /** @type {Values} */
  #values;
  /** @type {Before | undefined} What stood there before Defaults was pressed. */
  #before;
  /** @type {Judgement | Failure} */
  #judgement = { ok: false };
  #isPressed = false;
  #askSoon;
  #ask;
  #isDue = false; // whether a judgement is to be asked for once the form is seen
  #isComing = false; // whether another one is about to be asked for
  #isEdited = false; // whether that is of other values, not only in another language

  /**
   * @param {Mounted} mounted
   * @param {Schema} schema
   */
  constructor(mounted, schema) {
    const { element, props, data } = mounted;
    this.#mounted = mounted;
    this.#schema = schema;
    for (const name of Object.keys(schema.fields)) this.#fields.set(name, this.#makeField(name));
    this.#sections = new Sections(element, data.prefix, schema, this.#fields);
    this.#sections.setTexts(schema);
    this.#modes = this.#makeModes();
    this.#proposals = this.#makeProposals();
    let question = "";
    this.#ask = askLatest(
      () => {
        this.#isComing = false;
        question = JSON.stringify(this.#question());
        return mounted.server.judge(this.#question());
      },
      (answer) => {
        if (this.#isComing) return; // a Start that waits is not for this answer
        this.#judge(answer, question === JSON.stringify(this.#question()));
      },
    );
    this.#askSoon = debounce(JUDGE_MS, this.#ask);
    const kept = restore(data.form, schema);
    this.#values = { ...this.#defaults(), ...kept, ...props.value };
    this.#proposals.claim(Object.keys({ ...kept, ...props.value }));
    Object.assign(this.#values, openedFields(data.address, schema));
    this.#show();
    this.#listen();
    this.#follow();
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
      id: this.#mounted.data.prefix + name,
      data: this.#data(name),
      words: this.#schema.words,
      help: this.#help,
      offers: (kind) => this.#offers(kind),
      changed: () => this.#take(name),
    });
  }

  #makeModes() {
    const { element, data } = this.#mounted;
    const place = /** @type {HTMLElement} */ (element.querySelector(".form-first, .form-rest"));
    const modes = new Modes(place, data, this.#schema, this.#fields, {
      changed: () => this.#adapt(),
      open: (field) => this.#sections.open(field),
      reset: () => this.#reset(),
      undo: () => this.#undo(),
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

  /**
   * What a field is, with the options that another field holds.
   * @param {string} name
   */
  #data(name) {
    const field = this.#schema.fields[name];
    const held = field.source ? this.#values?.[field.source] : [];
    const options = [held ?? []].flat().map((each) => [String(each), String(each)]);
    return {
      ...field,
      choices: [...field.choices, .../** @type {[string, string][]} */ (options)],
    };
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
    new IntersectionObserver(() => this.#askIfSeen()).observe(element);
    for (const name of data.following) {
      this.#fields.get(name)?.root.addEventListener("focusout", () => this.#catchUp());
    }
  }

  /** What was left out while somebody might have typed is asked for once more. */
  #catchUp() {
    if (!this.#proposals.isLate) return;
    this.#isDue = this.#isJudge;
    this.#askIfSeen();
  }

  /** @param {News} news */
  #hear(news) {
    if (news.kind === "pressed") this.#press();
    if (news.kind === "missing") this.#reveal(news.name);
    if (news.kind === "started") this.#takeBack();
    if (news.kind === "change") this.#change(this.#pickOwn(news.values), news.free ?? []);
    const { bar } = this.#mounted.data;
    if (bar && ["pressed", "missing", "change"].includes(news.kind)) publish(bar, news);
    if (!this.#isJudge && news.kind === "judged") {
      this.#judgement = news.judgement;
      this.#remark();
    }
  }

  /**
   * Those of some values that fields of its own hold.
   * @param {Values} values
   */
  #pickOwn(values) {
    return Object.fromEntries(Object.entries(values).filter(([name]) => this.#fields.has(name)));
  }

  /** Whether it is judged by itself: a bar is by the forms that it belongs to. */
  get #isJudge() {
    return this.#mounted.data.form !== "bar";
  }

  /**
   * The person has changed a field.
   * @param {string} name
   */
  #take(name) {
    const field = this.#fields.get(name);
    if (!field) return;
    this.#proposals.claim([name]);
    this.#values = { ...this.#values, [name]: field.value };
    if (!this.#isJudge) this.#acquit(name);
    this.#forget();
    this.#follow();
    this.#remark();
  }

  /**
   * What was said of a field of the bar is over: where no form that judges it is seen, nobody else
   * would say so.
   * @param {string} name
   */
  #acquit(name) {
    if (!this.#judgement.ok) return;
    const { [name]: _, ...fields } = this.#judgement.fields;
    this.#judgement = { ...this.#judgement, fields };
  }

  /** What Defaults has changed is not taken back any more: something was changed since. */
  #forget() {
    this.#before = undefined;
    this.#modes.offerUndo(false);
  }

  #reset() {
    const before = { values: this.#values, state: this.#proposals.state };
    this.#replace(this.#defaults());
    this.#before = before;
    this.#modes.offerUndo(true);
    this.#modes.update();
  }

  #undo() {
    if (this.#before) this.#replace(this.#before.values, this.#before.state);
  }

  /**
   * Put other values into all fields.
   * @param {Values} values
   * @param {State} [state]  whose they are; nobody's without
   */
  #replace(values, state) {
    for (const field of this.#fields.values()) field.isTouched = false;
    this.#proposals.reset(state);
    this.#values = values;
    this.#forget();
    this.#show();
    this.#follow();
    this.#remark();
  }

  /**
   * Python has changed values. All of them are arguments as somebody wrote them, defaults included;
   * a few that are put back to their defaults are nobody's any more.
   * @param {Values} values
   */
  #fill(values) {
    const fresh = { ...this.#values, ...values };
    if (JSON.stringify(fresh) === JSON.stringify(this.#values)) return;
    const defaults = this.#defaults();
    const names = Object.keys(values);
    const isWhole = names.length === this.#fields.size;
    this.#change(values, isWhole ? [] : names.filter((name) => values[name] === defaults[name]));
  }

  /**
   * Put in values that did not come from its own fields: they are nobody's fault yet.
   * @param {Values} values
   * @param {string[]} free  those of the fields that nobody has set then
   */
  #change(values, free) {
    const fresh = { ...this.#values, ...values };
    this.#proposals.claim(Object.keys(values));
    this.#proposals.release(free);
    for (const [name, field] of this.#fields) {
      if (JSON.stringify(fresh[name]) !== JSON.stringify(this.#values[name])) {
        field.isTouched = false;
      }
    }
    this.#values = fresh;
    this.#isPressed = false;
    this.#forget();
    this.#show();
    this.#follow();
  }

  #show() {
    for (const [name, field] of this.#fields) {
      if (this.#schema.fields[name].source) field.setTexts(this.#data(name), this.#schema.words);
      field.suggested = this.#proposals.suggested[name];
      field.isFollowing = this.#proposals.isFollowed(name, this.#values[name]);
      field.value = this.#values[name];
    }
  }

  /** What follows from its values: they are known to Python, kept, and known to others. */
  #follow() {
    const { props, data } = this.#mounted;
    const held = props.value || this.#defaults(); // as Python takes none
    if (JSON.stringify(held) !== JSON.stringify(this.#values)) {
      props.value = { ...this.#values };
    }
    const typed = this.#proposals.pickTyped(this.#values);
    keep(data.form, this.#schema, typed, this.#proposals.own);
    writeFields(data.address, this.#schema, this.#values);
    this.#adapt();
    this.#tell();
  }

  /** Tell others what it holds, and what of it is nobody's own. */
  #tell() {
    publish(this.#mounted.data.form, {
      kind: "values",
      values: this.#values,
      followed: this.#proposals.pick(this.#values),
      own: this.#proposals.own,
    });
  }

  /**
   * What follows from its values and those of the bar: what is seen, and what is to be said of it.
   * Python may have changed both: `props.value` is left alone, its own values are still to come.
   */
  #adapt() {
    const all = this.#all();
    for (const [name, field] of this.#fields) {
      field.isApplied = applies(this.#schema.fields[name], all);
      const hidden = !field.isApplied || !this.#modes.shows(name);
      if (field.root.hidden !== hidden) field.root.hidden = hidden;
    }
    this.#sections.update();
    this.#modes.update();
    if (!this.#isJudge) return;
    this.#isDue = true;
    this.#isEdited = true;
    this.#askIfSeen();
  }

  /**
   * Open whatever hides a field.
   * @param {string} name
   */
  #reveal(name) {
    const field = this.#fields.get(name);
    if (!field) return;
    if (!this.#isJudge) showBar();
    if (!this.#modes.shows(name)) this.#modes.choose("advanced");
    this.#sections.open(field);
  }

  /** Ask what is to be said of the values; of a tab that is not seen once it is opened. */
  #askIfSeen() {
    if (!this.#isDue || !this.#mounted.element.checkVisibility()) return;
    this.#isDue = false;
    publish(this.#mounted.data.form, { kind: "asked", isEdited: this.#isEdited });
    this.#isEdited = false;
    this.#isComing = true;
    this.#askSoon();
  }

  #all() {
    return { ...valuesOf(this.#mounted.data.bar), ...this.#values };
  }

  #question() {
    const { suggested, own } = this.#proposals;
    const followed = this.#proposals.pick(this.#values);
    return { values: this.#all(), put: suggested, followed, own, lang: language() };
  }

  /**
   * Put values into fields in which nothing is typed.
   * @param {Values} values
   */
  #suggest(values) {
    this.#put(this.#proposals.suggest(values, this.#values, this.#hasFocus));
  }

  /** Whether somebody may be about to type into a field. @param {string} name */
  #hasFocus = (name) => this.#fields.get(name)?.root.contains(document.activeElement) ?? false;

  /**
   * Put in what follows from the number of rows; the command that came with it holds it already.
   * @param {Followed | undefined} followed
   */
  #renew(followed) {
    const defaults = this.#defaults();
    const fresh = this.#proposals.follow(followed, this.#values, defaults, this.#hasFocus);
    if (!this.#put(fresh)) return;
    this.#sections.update();
    this.#tell();
  }

  /**
   * Put in values that nobody typed, if there are any.
   * @param {Values} fresh
   */
  #put(fresh) {
    if (!Object.keys(fresh).length) return false;
    this.#values = { ...this.#values, ...fresh };
    this.#mounted.props.value = { ...this.#values };
    this.#show();
    return true;
  }

  /** The defaults are wanted in place of what follows from the number of rows. */
  #dismiss() {
    const names = Object.keys(this.#proposals.pick(this.#values));
    const defaults = this.#defaults();
    this.#change(Object.fromEntries(names.map((name) => [name, defaults[name]])), []);
    this.#fields.get(names[0])?.focus();
  }

  /** A run was started: the next one has another name. */
  #takeBack() {
    const names = Object.keys(this.#proposals.suggested);
    this.#values = { ...this.#values, ...Object.fromEntries(names.map((name) => [name, ""])) };
    this.#proposals.suggested = {};
    this.#show();
    this.#follow();
  }

  /**
   * @param {Judgement | Failure | undefined} answer
   * @param {boolean} isNew  whether it is of the values that stand there now
   */
  #judge(answer, isNew) {
    this.#judgement = answer ?? { ok: false };
    const { form, bar } = this.#mounted.data;
    if (answer?.ok && isNew) this.#renew(answer.follow);
    if (answer?.ok && answer.put) this.#suggest(answer.put);
    this.#remark();
    for (const name of bar ? [form, bar] : [form]) {
      publish(name, { kind: "judged", judgement: this.#judgement });
    }
  }

  #remark() {
    const remarks = this.#judgement.ok ? this.#judgement.fields : {};
    for (const [name, field] of this.#fields) {
      field.setRemark(remarks[name], this.#isPressed || field.isTouched);
    }
    this.#modes.update();
  }

  /** Start was pressed: whatever is wrong is said, and judged as it is now. */
  #press() {
    this.#isPressed = true;
    this.#remark();
    if (this.#isJudge) this.#ask();
  }

  /**
   * @param {string} kind
   * @returns {Promise<Group[]>}
   */
  async #offers(kind) {
    const answer = await this.#mounted.server.offers({ kind, ...this.#question() });
    if (answer?.ok) return answer.groups;
    throw new Error(answer?.errors?.[language()] || this.#schema.words.unchecked);
  }

  /** The texts in another language; what is typed, and where, stays. */
  async speak() {
    const lang = language();
    const schema = await readSchema(this.#mounted.data.schema);
    if (lang !== language()) return;
    this.#schema = schema;
    this.#help.hide();
    this.#say();
    this.#sections.setTexts(schema);
    this.#sections.update();
    this.#modes.setTexts(schema);
    this.#modes.update();
    this.#isDue = this.#isJudge;
    this.#askIfSeen();
  }

  /** Put the texts into all fields. */
  #say() {
    for (const [name, field] of this.#fields) field.setTexts(this.#data(name), this.#schema.words);
  }
}
