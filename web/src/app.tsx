import { useComputed } from "@preact/signals";
import { currentView, setFilter, VIEWS, type View } from "./address";
import { Acting } from "./acting";
import { ChecksView } from "./checks";
import { EventsView } from "./events";
import { FrontendsView, frontendCounts } from "./frontends";
import { NodesView } from "./nodes";
import { findOperatorProblems, LeaderName } from "./operators";
import { formatAge } from "./parts";
import type { Problem } from "./problems";
import { mayRead } from "./session";
import { Account } from "./sign_in";
import { heardAt, link, readiness, trouble } from "./server";
import { backendCounts, frontends, now } from "./store";

const TITLES: Record<View, string> = {
  frontends: "Frontends",
  nodes: "Nodes",
  checks: "Checks",
  events: "Events",
};
const BODIES: Record<View, () => preact.JSX.Element> = {
  frontends: FrontendsView,
  nodes: NodesView,
  checks: ChecksView,
  events: EventsView,
};

export function App() {
  const view = currentView();
  const Body = BODIES[view];
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header>
        <h1>vpplb</h1>
        <Headline />
        <LinkState />
        <Account />
      </header>
      <Warnings />
      <nav aria-label="Views">
        {VIEWS.map((one) => (
          <a
            key={one}
            href={one === "frontends" ? "./" : `?view=${one}`}
            aria-current={one === view ? "page" : undefined}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return;
              event.preventDefault();
              setFilter("view", one === "frontends" ? "" : one);
            }}
          >
            {TITLES[one]}
          </a>
        ))}
      </nav>
      <main id="content" class={link.value === "stale" ? "old" : ""} aria-label={TITLES[view]}>
        {mayRead() ? <Body /> : <p>Sign in to see what is here.</p>}
      </main>
      <Acting />
    </>
  );
}

// What is wrong comes first.
function Headline() {
  if (!mayRead()) return null;
  if (!frontends.isWhole.value) return <p class="headline">reading the frontends…</p>;
  const { down, hurt, all } = frontendCounts.value;
  const { down: dead, unknown, up } = backendCounts.value;
  const parts = [
    down && <span class="bad">{down} down</span>,
    hurt && <span class="warning">{hurt} with problems</span>,
  ].filter(Boolean);
  const backends = [
    dead && <span class="bad">{dead} down</span>,
    unknown && <span class="warning">{unknown} unknown</span>,
    <span>{up} up</span>,
  ].filter(Boolean);
  return (
    <p class="headline">
      <span>
        {all} {all === 1 ? "frontend" : "frontends"}: {parts.length ? join(parts) : "all well"}
      </span>
      <span>Backends: {join(backends)}</span>
    </p>
  );
}

function join(parts: readonly (preact.ComponentChild | 0)[]) {
  return parts.map((part, n) => (
    <>
      {n > 0 && ", "}
      {part}
    </>
  ));
}

function LinkState() {
  const age = useComputed(() => formatAge(now.value - heardAt.value));
  switch (link.value) {
    case "live":
      return (
        <p role="status" class="link-state live">
          live
          <LeaderName />
        </p>
      );
    case "polling":
      return (
        <p role="status" class="link-state warning">
          events do not come through: read each 20 s
        </p>
      );
    case "connecting":
      return (
        <p role="status" class="link-state">
          connecting…
        </p>
      );
    case "stale":
      return (
        <p role="status" class="link-state bad">
          {trouble.value || "nothing is heard of the server"}:{" "}
          {heardAt.value ? <>all below is as of {age} ago</> : "nothing is known yet"}
        </p>
      );
  }
}

// What the server itself says is wrong with it.
function Warnings() {
  const wrong = Object.entries(readiness.value?.notReady ?? {});
  const problems = [
    ...findOperatorProblems(),
    ...wrong.map(([what, why]): Problem => ({ severity: "warning", what, why })),
  ];
  if (!problems.length) return null;
  return (
    <ul class="problems" aria-label="What is wrong with the server">
      {problems.map(({ severity, what, why }) => (
        <li key={what} class={severity}>
          <strong>{what}</strong> {why}
        </li>
      ))}
    </ul>
  );
}
