// What several views draw with.

import { useComputed } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect } from "preact/hooks";
import { toggle, unfolded, linkTo, type View } from "./address";
import { findProblems, type Severity } from "./problems";
import { STATES, type Condition, type State } from "./resources";
import { now, skew } from "./store";

export function StateMark({ state }: { state: State | undefined }) {
  const known = state && STATES.includes(state) ? state : "unknown";
  return <span class={`state ${known}`}>{known}</span>;
}

export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

// How long ago something was; ticks by itself.
export function Age({ at }: { at: string | undefined }) {
  const then = at ? Date.parse(at) : NaN;
  const text = useComputed(() => (isNaN(then) ? "" : formatAge(now.value + skew.value - then)));
  if (isNaN(then)) return null;
  return (
    <time dateTime={at} title={nameMoment(new Date(then))}>
      {text}
    </time>
  );
}

// By the clock of who looks, with its zone, and by UTC, as logs and other people have it.
const nameMoment = (at: Date): string =>
  `${at.toLocaleString([], { timeZoneName: "short" })}, ${at.toISOString()}`;

// The time of day; the date too, where that is not today's.
export function Clock({ at }: { at: string }) {
  const then = new Date(at);
  if (isNaN(then.getTime())) return null;
  const isToday = then.toDateString() === new Date(now.peek() + skew.peek()).toDateString();
  return (
    <time dateTime={at} title={nameMoment(then)}>
      {isToday ? then.toLocaleTimeString() : then.toLocaleString()}
    </time>
  );
}

export function Problems({ conditions }: { conditions: readonly Condition[] | undefined }) {
  const problems = findProblems(conditions);
  if (!problems.length) return null;
  return (
    <ul class="problems">
      {problems.map(({ severity, what, why }) => (
        <li key={what} class={severity}>
          <strong>{what}</strong> {why}
        </li>
      ))}
    </ul>
  );
}

interface FoldProps {
  view: View;
  name: string;
  severity: Severity;
  summary: ComponentChildren;
  children: () => ComponentChildren;
}

// Something that folds; what is in it is made when it is unfolded. Its name links to it alone.
export function Fold({ view, name, severity, summary, children }: FoldProps) {
  const open = useComputed(() => unfolded.value.has(name)).value;
  return (
    <li class={`fold ${severity}`} id={name}>
      <div class="summary">
        <button type="button" aria-expanded={open} onClick={() => toggle(name)}>
          <span class="sign" aria-hidden="true" />
          {name}
        </button>
        {summary}
        <a class="link" href={linkTo(view, name)} aria-label={`Link to ${name}`}>
          #
        </a>
      </div>
      {open && <div class="inside">{children()}</div>}
    </li>
  );
}

// A row that is moved, since its place in the order is another, loses the focus and what is selected
// in it: it gets both back.
export function useKeptFocus(order: unknown): void {
  const focused = document.activeElement;
  const chosen = getSelection()!;
  const { anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed } = chosen;
  useLayoutEffect(() => {
    if (!isCollapsed && chosen.isCollapsed && anchorNode?.isConnected && focusNode?.isConnected)
      chosen.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected)
      focused.focus({ preventScroll: true });
  }, [order]);
}

// A table whose rows become cards on a narrow page, where each cell says its column.
export function Table({
  caption,
  columns,
  children,
}: {
  caption: ComponentChildren;
  columns: readonly string[];
  children: ComponentChildren;
}) {
  return (
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column} scope="col">
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

export function Cell({
  column,
  class: name,
  children,
}: {
  column: string;
  class?: string;
  children: ComponentChildren;
}) {
  return (
    <td class={name} data-column={column}>
      <div>{children}</div>
    </td>
  );
}
