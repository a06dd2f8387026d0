// All that this page knows, as signals: whoever draws something is drawn again when that changes.

import { batch, computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import {
  nameOf,
  type Backend,
  type Dataplane,
  type Frontend,
  type HealthCheck,
  type OperatorState,
  type State,
  type StoredObject,
} from "./resources";

const PACE = 500; // milliseconds

interface Slowed<T> {
  readonly signal: ReadonlySignal<T>;
  readonly follow: () => void; // now, however soon that is after the last time
}

// Follow a signal at once, but no more often than each half second.
function slowed<T>(source: ReadonlySignal<T>): Slowed<T> {
  const slow = signal(source.peek());
  let last = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const follow = () => {
    clearTimeout(timer);
    timer = undefined;
    last = performance.now();
    slow.value = source.peek();
  };
  effect(() => {
    void source.value;
    if (timer !== undefined) return;
    const rest = last + PACE - performance.now();
    timer = setTimeout(follow, Math.max(0, rest));
  });
  return { signal: slow, follow };
}

// Objects of a kind by name. The list of names changes only when objects come or go.
export class ObjectStore<T extends StoredObject> {
  private readonly objects = new Map<string, Signal<T>>();
  readonly names = signal<readonly string[]>([]);
  private readonly version = signal(0);
  private readonly slowed = slowed(this.version);
  // Changes with any object, but not with each: for what reads all of them.
  readonly pace = this.slowed.signal;
  // Whether a whole list was read: until then nobody knows how many there are.
  readonly isWhole = signal(false);

  // The newest of an object. Who asks for one that is not there is drawn again when it comes.
  get(name: string): T | undefined {
    const known = this.objects.get(name);
    if (!known) void this.names.value;
    return known?.value;
  }

  set(object: T): void {
    if (this.put(object)) this.writeNames();
  }

  add(objects: readonly T[]): void {
    if (objects.filter((one) => this.put(one)).length) this.writeNames();
  }

  delete(name: string): void {
    if (this.objects.delete(name)) this.writeNames();
  }

  // The newest of an object, for whoever goes by `pace`.
  peek(name: string): T | undefined {
    return this.objects.get(name)?.peek();
  }

  // Take a whole list, but of `newer` names what events have told meanwhile.
  replace(listed: readonly T[], newer: ReadonlySet<string>): void {
    const left = new Set(this.objects.keys());
    for (const object of listed) {
      const name = nameOf(object);
      left.delete(name);
      const known = this.objects.get(name);
      if (newer.has(name)) continue;
      if (!known || JSON.stringify(known.peek()) !== JSON.stringify(object)) this.put(object);
    }
    for (const name of left) if (!newer.has(name)) this.objects.delete(name);
    if (this.objects.size !== this.names.peek().length || left.size) this.writeNames();
    this.isWhole.value = true;
    this.slowed.follow();
  }

  private put(object: T): boolean {
    const name = nameOf(object);
    const known = this.objects.get(name);
    if (known) known.value = object;
    else this.objects.set(name, signal(object));
    this.version.value += 1;
    return !known;
  }

  private writeNames(): void {
    this.version.value += 1;
    this.names.value = [...this.objects.keys()].sort();
  }
}

export const frontends = new ObjectStore<Frontend>();
export const backends = new ObjectStore<Backend>();
export const checks = new ObjectStore<HealthCheck>();
export const nodes = new ObjectStore<Dataplane>();

// Who tells all this, and whether anybody decides.
export const operator = signal<OperatorState | null>(null);

// The present, for ages: ticks once a second.
export const now = signal(Date.now());

// Milliseconds by which this browser's clock is behind the server's; ages are told by the server's.
export const skew = signal(0);
const SAME = 3000; // less is rounding, and the way of the answer

export function compareClocks(server: string): void {
  const found = Date.parse(server) - Date.now();
  skew.value = Math.abs(found) > SAME ? found : 0;
}

export interface PageEvent {
  number: number;
  at: string;
  kind: "transition" | "failover" | "removed" | "action";
  about: string;
  text: string;
  level: State;
  frontends: readonly string[];
}

const MOST_EVENTS = 1000;
export const events = signal<readonly PageEvent[]>([]);
let numbered = 0;

export function addEvent(added: Omit<PageEvent, "number">): void {
  const kept = events.value.slice(0, MOST_EVENTS - 1);
  events.value = [{ ...added, number: ++numbered }, ...kept];
}

// Changes of a moment are applied together, so that they are drawn once.
let waiting: (() => void)[] = [];
export function applySoon(change: () => void): void {
  waiting.push(change);
  if (waiting.length > 1) return;
  const apply = () => {
    const changes = waiting;
    waiting = [];
    batch(() => changes.forEach((one) => one()));
  };
  // A page that nobody sees gets no frames, but has to keep up all the same.
  if (document.hidden) setTimeout(apply, 200);
  else requestAnimationFrame(apply);
}

// How many backends are in each state, each counted once, as the frontends show them.
export const backendCounts = computed(() => {
  void frontends.pace.value;
  const states = new Map<string, State>();
  for (const name of frontends.names.peek()) {
    const frontend = frontends.peek(name);
    for (const member of frontend?.status.backends ?? [])
      states.set(`${frontend!.metadata.namespace}/${member.name}`, member.state);
  }
  const counts: Record<State, number> = { up: 0, down: 0, unknown: 0, paused: 0, disabled: 0 };
  for (const state of states.values()) counts[state] += 1;
  return counts;
});
