// Who is signed in, and what may be done to what is selected.

import { signal } from "@preact/signals";
import type { ActionOutcome, Session } from "./resources";
import { ask, change } from "./server";

export const ACTIONS = ["pause", "resume", "enable", "disable", "drain", "weight"] as const;
export type Action = (typeof ACTIONS)[number];

export interface Selected {
  frontend: string;
  pool: string;
  backend: string;
}

// Null: this server knows nobody.
export const session = signal<Session | null>(null);
export const selected = signal<ReadonlyMap<string, Selected>>(new Map());

export const mayAct = (): boolean => !!session.value?.acting && session.value.signedIn;
export const mayRead = (): boolean =>
  session.value?.reading !== "signedIn" || session.value.signedIn;

export async function loadSession(): Promise<void> {
  session.value = await ask<Session>("api/v1/session").catch(() => null);
  if (!mayAct()) clearSelected();
}

export async function signIn(given: Record<string, string>): Promise<void> {
  session.value = await change<Session>("POST", "api/v1/session", given);
}

export async function signOut(): Promise<void> {
  await change("DELETE", "api/v1/session");
  await loadSession();
}

const keyOf = ({ frontend, pool, backend }: Selected): string => [frontend, pool, backend].join();
export const isSelected = (one: Selected): boolean => selected.value.has(keyOf(one));

export function select(all: readonly Selected[], on: boolean): void {
  const names = new Map(selected.value);
  for (const one of all) {
    if (on) names.set(keyOf(one), one);
    else names.delete(keyOf(one));
  }
  selected.value = names;
}

export function clearSelected(): void {
  selected.value = new Map();
}

export interface ActionRequest {
  action: Action;
  backends: string[];
  frontend?: string;
  pool?: string;
  weight?: number;
}

// What is asked for: at once, but a weight for each pool of a frontend.
export function makeRequests(action: Action, weight: number): ActionRequest[] {
  const all = [...selected.value.values()];
  if (action !== "weight") return [{ action, backends: [...new Set(all.map((one) => one.backend))] }];
  const pools = new Map<string, ActionRequest>();
  for (const { frontend, pool, backend } of all) {
    const key = `${frontend},${pool}`;
    const asked = pools.get(key) ?? { action, backends: [], frontend, pool, weight };
    asked.backends.push(backend);
    pools.set(key, asked);
  }
  return [...pools.values()];
}

// Ask for each, and put together what came of them: that one fails undoes no other. Who is no longer
// signed in is shown so.
export async function act(asked: readonly ActionRequest[], dryRun: boolean): Promise<ActionOutcome> {
  const all: ActionOutcome = { backends: [], frontends: [], notes: [] };
  for (const one of asked) {
    try {
      const { backends, frontends, notes } = await change<Partial<ActionOutcome>>(
        "POST",
        "api/v1/actions",
        { ...one, dryRun },
      );
      all.backends.push(...(backends ?? []));
      all.frontends.push(...(frontends ?? []));
      all.notes.push(...(notes ?? []));
    } catch (error) {
      await loadSession();
      if (dryRun) throw error;
      const said = (error as Error).message;
      all.backends.push(
        ...one.backends.map((backend) => ({ backend, allowed: true, outcome: "failed" as const, said })),
      );
    }
  }
  return all;
}
