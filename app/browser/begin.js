// @ts-check
/** What the page does at once, while Gradio is still loading: it asks for what the first tab needs. */

import { loadStyle } from "./dom.js";
import { readParts } from "./mount.js";
import { readSchema } from "./schemas.js";

readParts();
for (const form of ["bar", "train"]) readSchema(`own/form/${form}`);
for (const style of ["form.css", "run.css"]) loadStyle(style);
