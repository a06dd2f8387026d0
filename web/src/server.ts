// The server: what it is asked, what it tells, and whether it is there at all.

import { computed, signal } from "@preact/signals";
import { unfolded } from "./address";
import {
  nameOf,
  type ActionEvent,
  type Backend,
  type Frontend,
  type OperatorState,
  type StoredObject,
  type Transition,
} from "./resources";
import {
  addEvent,
  applySoon,
  backends,
  checks,
  compareClocks,
  frontends,
  nodes,
  now,
  operator,
  skew,
  type ObjectStore,
  type PageEvent,
} from "./store";

// Milliseconds:
const BEAT = 1500; // from one question whether it is there to the next
const PATIENCE = 2500; // until an answer to that is late
const STALE = 4500; // without a word, after which what is shown is called old
const ASLEEP = 5000; // between two ticks of a second, after which this machine must have slept
const RETRY = 2000;
const OPENS = 4000; // until a stream that does not open counts as held up, by a proxy that gathers it
const RELOAD = 20_000; // from one reading of what no event tells to the next
const ABREAST = 2; // questions of a kind at a time
const PAGE = 100; // objects that are read at a time: a larger answer would hold the page up

interface Readiness {
  ready: boolean;
  notReady?: Record<string, string>;
  run?: string;
  version?: string;
}

export const readiness = signal<Readiness | null>(null);
export const heardAt = signal(0); // when the server last answered, or told something
export const trouble = signal("");
const loaded = signal(false);
const streaming = signal(false);
const heldUp = signal(false); // the server answers, but its stream does not come through

export const link = computed(() => {
  if (trouble.value || (heardAt.value && now.value - heardAt.value > STALE)) return "stale";
  if (loaded.value && heldUp.value) return "polling";
  return streaming.value && loaded.value ? "live" : "connecting";
});

// A browser has six connections to a server: the stream and the question whether it is there have
// theirs, and what is asked again and again keeps nothing else waiting.
class Lane {
  private free = ABREAST;
  private readonly waiting: (() => void)[] = [];

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((go) => this.waiting.push(go));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}

const questions = new Lane();
const looks = new Lane();

// Ask for what is there; an error says in words why it is not.
export const ask = <T>(path: string): Promise<T> => questions.run(() => request<T>(path, {}));

// The same, of what is asked for again and again while somebody looks.
export const look = <T>(path: string): Promise<T> => looks.run(() => request<T>(path, {}));

// Change something: only a page of this server can send such a header.
export const change = <T>(method: "POST" | "DELETE", path: string, body?: unknown): Promise<T> =>
  request<T>(path, {
    method,
    headers: { "Content-Type": "application/json", "X-Vpplb-Request": "page" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

async function request<T>(path: string, asked: RequestInit): Promise<T> {
  const answer = await fetch(path, { ...asked, signal: AbortSignal.timeout(30_000) });
  if (answer.status === 204) return undefined as T;
  if (answer.ok) return (await answer.json()) as T;
  const told = (await answer.json().catch(() => ({}))) as { error?: string };
  throw new Error(told.error ?? `${answer.status} ${answer.statusText}`);
}

async function* readList<T>(path: string): AsyncGenerator<T[]> {
  let after = "";
  do {
    const from = after ? `&continue=${encodeURIComponent(after)}` : "";
    const page = await ask<{ items: T[]; continue?: string }>(`${path}limit=${PAGE}${from}`);
    yield page.items;
    after = page.continue ?? "";
  } while (after);
}

// --- lists ---------------------------------------------------------------------------------------

const FRONTEND_FIELDS = [
  "metadata.namespace",
  "metadata.name",
  "spec.description",
  "spec.address",
  "spec.port",
  "spec.protocol",
  "spec.pools.name",
  "status.state",
  "status.activePool",
  "status.ready",
  "status.backends",
  "status.nodes",
  "status.conditions",
];

// By kind, names that events have told since its list was asked for: the list is older.
const told = new Map<unknown, Set<string>>();

async function loadKind<T extends StoredObject>(store: ObjectStore<T>, path: string): Promise<void> {
  const newer = new Set<string>();
  told.set(store, newer);
  const isFirst = !store.names.peek().length;
  const all: T[] = [];
  for await (const page of readList<T>(path)) {
    all.push(...page);
    if (isFirst) applySoon(() => store.add(page.filter((one) => !newer.has(nameOf(one)))));
  }
  applySoon(() => store.replace(all, newer));
}

let loading = false;
let again = false;

async function load(): Promise<void> {
  again = true;
  if (loading) return;
  loading = true;
  while (again) {
    again = false;
    try {
      await loadKind(frontends, `api/v1/frontends?fields=${FRONTEND_FIELDS.join()}&`);
      await Promise.all([loadRest(), ...[...unfolded.peek()].map(loadMembers)]);
      applySoon(() => (loaded.value = true)); // with what was read, not before it is shown
    } catch {
      loaded.value = false;
      await new Promise((done) => setTimeout(done, RETRY));
      again = true;
    }
  }
  loading = false;
}

// What no event tells.
async function loadRest(): Promise<void> {
  await ask<OperatorState>("api/v1/operator").then(takeOperator, () => undefined);
  await loadKind(nodes, "api/v1/dataplanes?");
  await loadKind(checks, "api/v1/healthchecks?");
}

function takeOperator(told: OperatorState): void {
  operator.value = told;
  compareClocks(told.now);
}

// Of backends only those are kept that somebody looks at.
const watched = new Set<string>();

export async function loadMembers(frontend: string): Promise<void> {
  if (!frontend.includes("/")) return;
  const path = `api/v1/backends?frontend=${encodeURIComponent(frontend)}&`;
  for await (const page of readList<Backend>(path)) {
    for (const one of page) watched.add(nameOf(one));
    applySoon(() => backends.add(page));
  }
}

// --- events --------------------------------------------------------------------------------------

interface ObjectEvent<T> {
  deleted?: boolean;
  object: T;
}

function applyObject<T extends StoredObject>(store: ObjectStore<T>, event: ObjectEvent<T>): void {
  const name = nameOf(event.object);
  told.get(store)?.add(name);
  if (event.deleted) store.delete(name);
  else store.set(event.object);
}

type NewEvent = Omit<PageEvent, "number">;

function readTransition(event: Transition & { backend: string; frontends: string[] }): NewEvent {
  const why = [event.code, event.detail].filter(Boolean).join(": ");
  return {
    at: event.at,
    kind: "transition",
    about: event.backend,
    text: `${event.from} → ${event.to}${why ? ` (${why})` : ""}`,
    level: event.to,
    frontends: event.frontends,
  };
}

function readFailover(event: { frontend: string; from: string; to: string; at: string }): NewEvent {
  return {
    at: event.at,
    kind: "failover",
    about: event.frontend,
    text: `pool ${event.from || "none"} → pool ${event.to || "none"}`,
    level: event.to ? "unknown" : "down",
    frontends: [event.frontend],
  };
}

function readRemoval(event: { backend: string; frontend: string }): NewEvent {
  return {
    at: new Date(Date.now() + skew.peek()).toISOString(),
    kind: "removed",
    about: event.backend,
    text: `is no longer a member of ${event.frontend}`,
    level: "disabled",
    frontends: [event.frontend],
  };
}

function readAction(event: ActionEvent): NewEvent {
  return {
    at: event.at,
    kind: "action",
    about: event.backend,
    text: `${event.action} by ${event.by}: ${event.said}`,
    level: event.done ? "disabled" : "unknown",
    frontends: event.frontend ? [event.frontend] : [],
  };
}

let stream: EventSource | null = null;
let lastId = "oldest";

export function connect(): void {
  stream?.close();
  streaming.value = false;
  const source = (stream = new EventSource(`api/v1/events?after=${lastId}`));
  setTimeout(() => {
    if (source !== stream || streaming.peek()) return;
    heldUp.value = true;
    void load();
  }, OPENS);
  source.onopen = () => {
    streaming.value = true;
    heldUp.value = false;
    heardAt.value = Date.now();
    void load();
  };
  source.onerror = () => {
    streaming.value = false;
    // A browser that was refused does not try again by itself.
    if (source.readyState === EventSource.CLOSED)
      setTimeout(() => source === stream && connect(), RETRY);
  };
  const hear = <T,>(type: string, take: (data: T) => void) =>
    source.addEventListener(type, (event) => {
      heardAt.value = Date.now();
      lastId = event.lastEventId || lastId;
      const data = JSON.parse(event.data as string) as T;
      applySoon(() => take(data));
    });
  hear<ObjectEvent<Frontend>>("frontend", (event) => applyObject(frontends, event));
  hear<ObjectEvent<Backend>>("backend", (event) => {
    if (event.deleted || watched.has(nameOf(event.object))) applyObject(backends, event);
  });
  hear<Parameters<typeof readTransition>[0]>("transition", (e) => addEvent(readTransition(e)));
  hear<Parameters<typeof readFailover>[0]>("failover", (e) => addEvent(readFailover(e)));
  hear<Parameters<typeof readRemoval>[0]>("removed", (e) => addEvent(readRemoval(e)));
  hear<ActionEvent>("action", (e) => addEvent(readAction(e)));
  hear("operator", takeOperator);
  hear("reset", () => void load());
}

// --- whether it is there -------------------------------------------------------------------------

// Null: it is none, but the page of a proxy, for example, where one is to sign in.
function readReadiness(text: string): Readiness | null {
  try {
    const found = JSON.parse(text) as Partial<Readiness> | null;
    return typeof found?.ready === "boolean" ? (found as Readiness) : null;
  } catch {
    return null;
  }
}

async function askReadiness(): Promise<void> {
  try {
    const answer = await fetch("readyz", { signal: AbortSignal.timeout(PATIENCE) });
    const found = readReadiness(await answer.text());
    if (!found) {
      trouble.value = `something else answers in the server's place (${answer.status})`;
      return;
    }
    const isAnother = readiness.peek()?.run !== undefined && readiness.peek()?.run !== found.run;
    readiness.value = found;
    heardAt.value = Date.now();
    if (isAnother) lastId = "oldest";
    if (isAnother || trouble.peek()) followVisibility();
    trouble.value = "";
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    trouble.value = isLate ? "the server does not answer" : "the server cannot be reached";
  }
}

// A browser has six connections to a server for all its tabs, and a stream keeps one: a tab that
// nobody looks at lets go of it, and reads the lists now and then.
function followVisibility(): void {
  if (document.hidden) {
    stream?.close();
    streaming.value = false;
  } else connect();
}

export function watchServer(): void {
  followVisibility();
  document.addEventListener("visibilitychange", followVisibility);
  // A page that the browser kept while another was shown has lost its stream without a word.
  addEventListener("pageshow", (event) => event.persisted && followVisibility());
  let ticked = Date.now();
  setInterval(() => {
    // What this machine was connected to before it slept may be gone without a word.
    if (Date.now() - ticked > ASLEEP && !document.hidden) connect();
    ticked = now.value = Date.now();
  }, 1000);
  const beat = () => void askReadiness().finally(() => setTimeout(beat, BEAT));
  beat();
  const loadAgain = () => (document.hidden || heldUp.peek() ? load() : loadRest().catch(() => undefined));
  setInterval(() => void loadAgain(), RELOAD);
}
