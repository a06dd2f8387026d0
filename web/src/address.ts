// What is shown is kept in the page's address, so that it can be kept, sent, and gone back to.

import { signal, type Signal } from "@preact/signals";

export const VIEWS = ["frontends", "nodes", "checks", "events"] as const;
export type View = (typeof VIEWS)[number];

const FIELDS = ["view", "search", "problems", "state", "namespace", "node", "pool"] as const;
export type Field = (typeof FIELDS)[number];

const asked = Object.fromEntries(FIELDS.map((field) => [field, signal("")])) as Record<
  Field,
  Signal<string>
>;
// Names of what is unfolded.
export const unfolded = signal<ReadonlySet<string>>(new Set());

export const filter = (field: Field): string => asked[field].value;
export const currentView = (): View =>
  VIEWS.find((view) => view === asked.view.value) ?? "frontends";

export function readAddress(): void {
  const query = new URLSearchParams(location.search);
  for (const field of FIELDS) asked[field].value = query.get(field) ?? "";
  unfolded.value = new Set(query.getAll("open"));
}

function formatAddress(fields: Partial<Record<Field, string>>, open: Iterable<string>): string {
  const query = new URLSearchParams();
  for (const field of FIELDS) {
    const value = fields[field];
    if (value) query.set(field, value);
  }
  for (const name of open) query.append("open", name);
  const text = query.toString().replaceAll("%2F", "/");
  return text ? `?${text}` : "./";
}

function writeAddress(push: boolean): void {
  const fields = Object.fromEntries(FIELDS.map((field) => [field, asked[field].value]));
  const address = formatAddress(fields, unfolded.value);
  try {
    if (push) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  } catch {
    // Some browsers refuse to be asked often, as by somebody who types fast: the next one writes it.
  }
}

export function setFilter(field: Field, value: string): void {
  asked[field].value = value;
  writeAddress(field === "view");
}

export function clearFilters(): void {
  for (const field of FIELDS) if (field !== "view") asked[field].value = "";
  writeAddress(true);
}

export function toggle(name: string): void {
  const names = new Set(unfolded.value);
  if (!names.delete(name)) names.add(name);
  unfolded.value = names;
  writeAddress(false);
}

export const linkTo = (view: View, name: string): string =>
  formatAddress({ view: view === "frontends" ? "" : view }, [name]);
