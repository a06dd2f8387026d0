import { render } from "preact";
import { effect } from "@preact/signals";
import { readAddress } from "./address";
import { App } from "./app";
import { problemCount } from "./frontends";
import { loadSession } from "./session";
import { link, watchServer } from "./server";
import { operator } from "./store";

// Below a path without a slash at its end, questions would go to what is above it.
if (!location.pathname.endsWith("/")) location.replace(`${location.pathname}/${location.search}`);

readAddress();
addEventListener("popstate", readAddress);
const page = document.getElementById("page")!;
page.replaceChildren();
render(<App />, page);
// Who has many tabs open sees in each title what is wrong there.
effect(() => {
  const isOld = link.value === "stale" || operator.value?.silentSince;
  const sign = isOld ? "? " : problemCount.value ? `(${problemCount.value}) ` : "";
  document.title = `${sign}vpplb`;
});
void loadSession();
watchServer();
