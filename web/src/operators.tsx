// Who leads, who stands by, and how old decisions are.

import { formatAge, Age } from "./parts";
import type { Problem } from "./problems";
import { now, operator, skew } from "./store";

const MOST_SKEW = 30_000; // milliseconds that clocks may differ without a word

// Beside `live`: who it is that tells all this.
export function LeaderName() {
  const told = operator.value;
  if (!told || told.role === "alone") return null;
  if (!told.leader) return <span class="bad"> · nobody leads</span>;
  if (told.leader === told.identity) return <> · this operator leads</>;
  return <> · stands by, {told.leader} leads</>;
}

// What is wrong with whoever decides, so that nobody takes old states for new.
export function findOperatorProblems(): Problem[] {
  const told = operator.value;
  const behind = skew.value;
  const found: Problem[] = [];
  if (told?.silentSince) {
    const silent = formatAge(now.value + behind - Date.parse(told.silentSince));
    const why = `for ${silent}: states below are as of then. ${told.trouble}`;
    found.push({ severity: "bad", what: "Nobody probes", why });
  } else if (told?.role === "suspended") {
    const why = `${told.leader} leads, but cannot renew its lease. ${told.trouble}`;
    found.push({ severity: "warning", what: "Leader", why });
  }
  if (Math.abs(behind) > MOST_SKEW) {
    const way = behind > 0 ? "behind" : "ahead of";
    const why = `this browser's is ${formatAge(Math.abs(behind))} ${way} the server's, by which ages are told`;
    found.push({ severity: "warning", what: "Clock", why });
  }
  return found;
}

export function Operators() {
  const told = operator.value;
  if (!told || told.role === "alone") return null;
  return (
    <dl aria-label="Operators">
      <dt>Leads</dt>
      <dd>
        {told.leader || <span class="bad">nobody</span>}
        {told.leaderSince && (
          <>
            {" "}
            for <Age at={told.leaderSince} />
          </>
        )}
      </dd>
      <dt>Stand by</dt>
      <dd>
        {told.standbys === null ? "not known, since the direct road is off" : told.standbys.join(", ") || "none"}
      </dd>
      <dt>Last decision here</dt>
      <dd>{told.decidedAt ? <><Age at={told.decidedAt} /> ago</> : "none yet"}</dd>
      {told.namespaces.length > 0 && (
        <>
          <dt>Namespaces</dt>
          <dd>{told.namespaces.join(", ")}</dd>
        </>
      )}
    </dl>
  );
}
