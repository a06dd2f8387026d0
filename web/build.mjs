// Makes the dashboard: one page with its script and style in it, beside the program that serves it.
// The page is committed, so that nobody needs Node to use it; a test makes it again and compares.
import { build } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "../operator/vpplb/telemetry/dashboard.html");

async function bundle(entry) {
  const made = await build({
    entryPoints: [join(here, "src", entry)],
    bundle: true,
    minify: true,
    write: false,
    charset: "utf8",
    target: "es2022",
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
  });
  return made.outputFiles[0].text.trim();
}

const [script, style, page] = await Promise.all([
  bundle("main.tsx"),
  bundle("style.css"),
  readFile(join(here, "src/index.html"), "utf8"),
]);
// Within a page a script ends at its end tag, wherever that stands.
const safe = script.replaceAll("</script", "<\\/script");
await writeFile(target, page.replace("/*style*/", () => style).replace("/*script*/", () => safe));
