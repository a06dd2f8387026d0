// What is wrong with an object, the worst first. Pure: what is shown is judged, nothing else.

import type { Condition, Dataplane, Frontend } from "./resources";

export type Severity = "bad" | "warning" | "fine";
export interface Problem {
  severity: Severity;
  what: string;
  why: string;
}

// What a condition is where all is well; others are not judged.
const WELL: Record<string, Condition["status"]> = {
  Accepted: "True",
  ResolvedRefs: "True",
  Available: "True",
  Programmed: "True",
  Degraded: "False",
  Connected: "True",
  Synced: "True",
};
// Without these nothing is served, or not what is wanted.
const BAD = new Set(["Accepted", "Available", "Connected"]);

export function findProblems(conditions: readonly Condition[] | undefined): Problem[] {
  const found = (conditions ?? [])
    .filter((one) => one.type in WELL && one.status !== WELL[one.type])
    .map((one): Problem => ({
      severity: BAD.has(one.type) && one.status === "False" ? "bad" : "warning",
      what: one.status === "Unknown" ? `${one.type} is unknown` : (one.reason ?? one.type),
      why: one.message ?? "",
    }));
  return found.sort((one, other) => rank(one.severity) - rank(other.severity));
}

const RANKS: Record<Severity, number> = { bad: 0, warning: 1, fine: 2 };
export const rank = (severity: Severity): number => RANKS[severity];

const judged = new WeakMap<Frontend, Severity>();

// An object is never altered, only replaced: so it is judged once.
export function judgeFrontend(frontend: Frontend): Severity {
  const known = judged.get(frontend) ?? judgeAnew(frontend);
  judged.set(frontend, known);
  return known;
}

function judgeAnew(frontend: Frontend): Severity {
  const { state, conditions } = frontend.status;
  if (state === "down") return "bad";
  const worst = findProblems(conditions)[0]?.severity ?? "fine";
  if (worst !== "fine") return worst;
  // Some of its backends are down, though the rest carries all.
  const hurt = frontend.status.backends?.some((one) => one.state === "down");
  return state === "up" && !hurt ? "fine" : "warning";
}

export function judgeNode(node: Dataplane): Severity {
  const worst = findProblems(node.status.conditions)[0]?.severity ?? "fine";
  if (worst !== "fine") return worst;
  return node.status.errors?.length || !node.status.vpp?.connected ? "warning" : "fine";
}
