// The frontends, those with problems first.

import { computed, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { clearFilters, filter, setFilter, unfolded, type Field } from "./address";
import { FrontendDetail } from "./frontend_detail";
import { Fold, StateMark, useKeptFocus } from "./parts";
import { findProblems, judgeFrontend, rank } from "./problems";
import { formatVip, nameOf, STATES, type Frontend } from "./resources";
import { frontends, nodes } from "./store";

const FIRST = 40; // frontends that are drawn at once; the rest follows while nothing else is to do
const STEP = 20;

export const frontendCounts = computed(() => {
  void frontends.pace.value;
  const counts = { down: 0, hurt: 0, all: 0 };
  for (const name of frontends.names.peek()) {
    const frontend = frontends.peek(name)!;
    counts.all += 1;
    if (frontend.status.state === "down") counts.down += 1;
    else if (judgeFrontend(frontend) !== "fine") counts.hurt += 1;
  }
  return counts;
});
export const problemCount = computed(() => frontendCounts.value.down + frontendCounts.value.hurt);

const texts = new WeakMap<Frontend, string>();

// All of a frontend that a search looks through.
function searchText(frontend: Frontend): string {
  let text = texts.get(frontend);
  if (text === undefined) {
    const members = (frontend.status.backends ?? []).flatMap((one) => [one.name, one.address]);
    const parts = [nameOf(frontend), formatVip(frontend), frontend.spec.description, ...members];
    texts.set(frontend, (text = parts.join(" ").toLowerCase()));
  }
  return text;
}

function matches(frontend: Frontend, words: readonly string[]): boolean {
  const { metadata, spec, status } = frontend;
  if (filter("problems") && judgeFrontend(frontend) === "fine") return false;
  if (filter("state") && (status.state ?? "unknown") !== filter("state")) return false;
  if (filter("namespace") && metadata.namespace !== filter("namespace")) return false;
  const pool = filter("pool");
  if (pool && !spec.pools?.some((one) => one.name === pool)) return false;
  const node = filter("node");
  if (node && !(nameOf(frontend) in (nodes.get(node)?.status.programmed ?? {}))) return false;
  return words.every((word) => searchText(frontend).includes(word));
}

// The names of what is shown, in order; the same list while that is the same.
let last: readonly string[] = [];
const shown = computed<readonly string[]>(() => {
  void frontends.pace.value;
  const words = filter("search").toLowerCase().split(/\s+/).filter(Boolean);
  const found = frontends.names.value
    .map((name) => frontends.peek(name)!)
    .filter((frontend) => matches(frontend, words))
    .map((frontend) => ({ name: nameOf(frontend), order: rank(judgeFrontend(frontend)) }))
    .sort((one, other) => one.order - other.order) // stable: by name
    .map(({ name }) => name);
  const same = found.length === last.length && found.every((name, n) => name === last[n]);
  return same ? last : (last = found);
});

export function FrontendsView() {
  const drawn = useSignal(FIRST);
  const list = shown.value;
  const all = frontends.names.value.length;
  useSignalEffect(() => {
    if (drawn.value >= shown.value.length) return;
    const more = requestIdleCallback(() => (drawn.value += STEP), { timeout: 200 });
    return () => cancelIdleCallback(more);
  });
  useDeepLink();
  useKeptFocus(list);
  return (
    <>
      <Filters />
      <p class="dim" role="status">
        {list.length === all ? "" : `${list.length} of `}
        {all} {all === 1 ? "frontend" : "frontends"}
        {list.length < all && (
          <button type="button" class="plain" onClick={clearFilters}>
            show all
          </button>
        )}
      </p>
      {all === 0 && frontends.isWhole.value && <p>There are no frontends yet.</p>}
      <ul class="folds">
        {list.slice(0, drawn.value).map((name) => (
          <FrontendRow key={name} name={name} />
        ))}
      </ul>
    </>
  );
}

// Who comes by a link to a frontend is taken to it, once it is there.
function useDeepLink(): void {
  const wanted = useRef([...unfolded.peek()].at(0));
  const there = shown.value.some((name) => name === wanted.current);
  useEffect(() => {
    if (!there || !wanted.current) return;
    document.getElementById(wanted.current)?.scrollIntoView({ block: "start" });
    wanted.current = undefined;
  }, [there]);
}

function FrontendRow({ name }: { name: string }) {
  const frontend = frontends.get(name);
  if (!frontend) return null;
  const { status } = frontend;
  const members = status.backends ?? [];
  const up = members.filter((one) => one.state === "up").length;
  const first = findProblems(status.conditions)[0];
  return (
    <Fold
      view="frontends"
      name={name}
      severity={judgeFrontend(frontend)}
      summary={
        <>
          <StateMark state={status.state} />
          <span class="vip">{formatVip(frontend)}</span>
          <span>
            {up} of {members.length} up
          </span>
          {status.activePool && <span>pool {status.activePool}</span>}
          {status.nodes && (
            <span>
              {status.nodes.programmed} of {status.nodes.desired} nodes
            </span>
          )}
          {first && <span class={first.severity}>{first.what}</span>}
        </>
      }
    >
      {() => <FrontendDetail name={name} />}
    </Fold>
  );
}

function Filters() {
  const namespaces = useComputed(() =>
    [...new Set(frontends.names.value.map((name) => name.split("/")[0]!))].sort(),
  );
  const pools = useComputed(() => {
    void frontends.pace.value;
    const names = new Set<string>();
    for (const name of frontends.names.peek())
      for (const pool of frontends.peek(name)?.spec.pools ?? []) names.add(pool.name);
    return [...names].sort();
  });
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      search.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <label>
        Search
        <input
          ref={search}
          type="search"
          value={filter("search")}
          placeholder="name, address ( / )"
          onInput={(event) => setFilter("search", event.currentTarget.value)}
        />
      </label>
      <Choice field="state" title="State" among={STATES} />
      <Choice field="namespace" title="Namespace" among={namespaces.value} />
      <Choice field="pool" title="Pool" among={pools.value} />
      <Choice field="node" title="Node" among={nodes.names.value} />
      <label class="check">
        <input
          type="checkbox"
          checked={filter("problems") !== ""}
          onChange={(event) => setFilter("problems", event.currentTarget.checked ? "only" : "")}
        />
        Problems only
      </label>
    </form>
  );
}

function Choice({ field, title, among }: { field: Field; title: string; among: readonly string[] }) {
  const chosen = filter(field);
  const all = chosen && !among.includes(chosen) ? [chosen, ...among] : among;
  if (!all.length) return null;
  return (
    <label>
      {title}
      <select value={chosen} onChange={(event) => setFilter(field, event.currentTarget.value)}>
        <option value="">any</option>
        {all.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}
