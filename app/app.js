// Light and dark: Gradio shows dark where <body> has the class "dark"; the choice is kept here.
(() => {
  const key = "tuneboard-theme";
  const apply = (mode) => document.body.classList.toggle("dark", mode === "dark");
  const now = () =>
    localStorage.getItem(key) ||
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const start = () => {
    apply(now());
    document.addEventListener("click", (event) => {
      if (!event.target.closest("#theme")) return;
      const mode = document.body.classList.contains("dark") ? "light" : "dark";
      localStorage.setItem(key, mode);
      apply(mode);
    });
  };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();

// A page that nobody looks at asks for nothing: its clocks stand still until it is seen again.
(() => {
  const [start, stop] = [window.setInterval, window.clearInterval];
  const due = new Map();
  const hidden = () => document.hidden || document.visibilityState === "hidden";
  const CLOCK_MS = 500; // what is faster only moves things on the page
  window.setInterval = (act, period, ...rest) => {
    if (typeof act !== "function" || !(period >= CLOCK_MS)) return start(act, period, ...rest);
    const id = start(() => (hidden() ? due.set(id, act) : act(...rest)), period);
    return id;
  };
  window.clearInterval = (id) => {
    due.delete(id);
    stop(id);
  };
  document.addEventListener("visibilitychange", () => {
    if (hidden()) return;
    const acts = [...due.values()];
    due.clear();
    for (const act of acts) act();
  });
})();

// A list of several opens wherever its box is pressed: beside the chips little is left of its input.
document.addEventListener("mousedown", (event) => {
  const box = event.target.closest?.(".wrap-inner:has(.token)");
  if (!box || event.target.closest(".token, .token-remove, input")) return;
  const input = box.querySelector("input");
  if (document.activeElement === input) return;
  event.preventDefault();
  input.focus();
});

// Help under a label shows two lines; resting on it shows the whole text.
document.addEventListener("pointerover", (event) => {
  const help = event.target.closest?.(".fields .info-text");
  if (help) help.title = help.textContent;
});

// Gradio (6.31) keeps a status of every input that an event ever had, for streaming ones such as a
// camera, and at each event walks through all components for each of them: a third of a core while
// a run is followed. We have no such inputs, so their statuses are passed over, except the one that
// ends what an event showed on a component which is both its output and its input.
(() => {
  const entries = Object.entries;
  const isStatus = (value) => value !== null && typeof value === "object" && "stream_state" in value;
  const outputs = new Set();
  const isNews = ([id, status]) => {
    if (status.type === "input") return outputs.delete(id);
    outputs.add(id);
    return true;
  };
  Object.entries = (object) => {
    const all = entries(object);
    return all.length && isStatus(all[0][1]) ? all.filter(isNews) : all;
  };
})();

// Gradio (6.31) shows the error of an event that streams, but not of one that is answered at once,
// which is nearly all of ours (app/events.py): its words stay here until they are closed.
(() => {
  const ask = window.fetch.bind(window);
  const show = ({ title, error }) => {
    const [box, head, words, close] = ["div", "strong", "span", "button"].map((tag) =>
      document.createElement(tag)
    );
    const reader = document.createElement("textarea"); // the words are escaped for Gradio's own box
    reader.innerHTML = error;
    [head.textContent, words.textContent, close.textContent] = [title, reader.value, "×"];
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => box.remove());
    box.className = "page-error";
    box.setAttribute("role", "alert");
    box.append(close, head, words);
    document.querySelectorAll(".page-error").forEach((before) => before.remove());
    document.querySelector(".gradio-container").append(box);
  };
  window.fetch = async (...request) => {
    const response = await ask(...request);
    if (response.status === 500 && String(request[0]?.url ?? request[0]).includes("/run/predict")) {
      const answer = await response.clone().json().catch(() => ({}));
      if (answer?.error && answer.title) show(answer);
    }
    return response;
  };
})();

// What is typed is kept in this browser, see app/tabs/shared/keeping.py: `begin` once the page has been
// filled from it, as the page's own first values would be kept before.
window.tuneboard = (() => {
  let filled = false;
  const key = (name) => `tuneboard-${name}`;
  const store = (name) => (name.startsWith("talk") ? sessionStorage : localStorage);
  return {
    begin: () => void (filled = true),
    read: (names) => {
      try {
        const kept = names.map((name) => [name, store(name).getItem(key(name)) ?? ""]);
        return JSON.stringify(Object.fromEntries(kept));
      } catch {
        return ""; // a browser that keeps nothing
      }
    },
    write: (name, keys, [free, ...secrets], values) => {
      if (!filled) return;
      const kept = Object.fromEntries(keys.map((each, at) => [each, values[at]]).filter(([each]) => each));
      const typed = String(kept[free] ?? "").replaceAll("-", "_");
      if (secrets.some((secret) => typed.includes(secret))) delete kept[free];
      try {
        store(name).setItem(key(name), JSON.stringify(kept));
      } catch {} // full, or forbidden
    },
  };
})();

// Where a text box cannot fit its content by style (field-sizing), what is said is shown whole so.
if (!CSS.supports("field-sizing", "content")) {
  setInterval(() => {
    for (const box of document.querySelectorAll(".problems textarea"))
      if (box.scrollHeight > box.clientHeight)
        box.style.setProperty("height", `${box.scrollHeight + 2}px`, "important");
  }, 250);
}
