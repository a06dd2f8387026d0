// The health checks: who uses them, and how often they ask.

import { Cell, Problems, Table } from "./parts";
import { checks } from "./store";

const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };

// Seconds of a duration such as `500ms` or `1m30s`; null for what is none.
export function parseDuration(text: string | undefined): number | null {
  const parts = text?.match(/\d+(?:\.\d+)?(?:ms|s|m|h)/g);
  if (!parts || parts.join("") !== text) return null;
  return parts.reduce((sum, part) => {
    const [, number, unit] = /^([\d.]+)(.*)$/.exec(part)!;
    return sum + Number(number) * UNITS[unit!]!;
  }, 0);
}

export function ChecksView() {
  const all = checks.names.value;
  if (!checks.isWhole.value && !all.length) return <p>reading the health checks…</p>;
  if (!all.length) return <p>There are no health checks yet.</p>;
  return (
    <Table
      caption="Health checks"
      columns={["Check", "Type", "Each", "Backends", "Probes a second", "Problems"]}
    >
      {all.map((name) => {
        const { spec, status } = checks.get(name)!;
        const used = status.backends ?? 0;
        const interval = spec.interval ?? "1s";
        const seconds = parseDuration(interval);
        return (
          <tr key={name}>
            <th scope="row">{name}</th>
            <Cell column="Type">
              {spec.type}
              {spec.port ? `:${spec.port}` : ""}
            </Cell>
            <Cell column="Each">{interval}</Cell>
            <Cell column="Backends" class="number">
              {used}
            </Cell>
            <Cell column="Probes a second" class="number">
              {seconds ? (used / seconds).toFixed(used / seconds < 10 ? 1 : 0) : "?"}
            </Cell>
            <Cell column="Problems">
              <Problems conditions={status.conditions} />
              {used === 0 && <span class="dim">no Backend uses it</span>}
            </Cell>
          </tr>
        );
      })}
    </Table>
  );
}
