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
