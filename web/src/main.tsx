import { render } from "preact";
import { effect } from "@preact/signals";
import { readAddress } from "./address";
import { App } from "./app";
import { problemCount } from "./frontends";
import { link, watchServer } from "./server";

readAddress();
addEventListener("popstate", readAddress);
const page = document.getElementById("page")!;
page.replaceChildren();
render(<App />, page);
// Who has many tabs open sees in each title what is wrong there.
effect(() => {
  const sign = link.value === "stale" ? "? " : problemCount.value ? `(${problemCount.value}) ` : "";
  document.title = `${sign}vpplb`;
});
watchServer();
