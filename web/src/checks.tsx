// The health checks: who uses them, and how often they ask.

import { useSignal } from "@preact/signals";
import { Cell, Problems, StateMark, Table } from "./parts";
import { usePolling } from "./polling";
import { nameOf, type Backend } from "./resources";
import { look } from "./server";
import { checks } from "./store";

const LOOK = 5000; // milliseconds from one look at who uses a check to the next
const MOST = 200; // users that are named

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
      {all.map((name) => (
        <CheckRows key={name} name={name} />
      ))}
    </Table>
  );
}

function CheckRows({ name }: { name: string }) {
  const open = useSignal(false);
  const check = checks.get(name);
  if (!check) return null;
  const { spec, status } = check;
  const used = status.backends ?? 0;
  const interval = spec.interval ?? "1s";
  const seconds = parseDuration(interval);
  return (
    <>
      <tr>
        <th scope="row">{name}</th>
        <Cell column="Type">
          {spec.type}
          {spec.port ? `:${spec.port}` : ""}
        </Cell>
        <Cell column="Each">{interval}</Cell>
        <Cell column="Backends" class="number">
          {used > 0 ? (
            <button
              type="button"
              class="plain"
              aria-expanded={open.value}
              aria-label={`Who uses ${name}: ${used}`}
              onClick={() => (open.value = !open.value)}
            >
              {used}
            </button>
          ) : (
            used
          )}
        </Cell>
        <Cell column="Probes a second" class="number">
          {seconds ? (used / seconds).toFixed(used / seconds < 10 ? 1 : 0) : "?"}
        </Cell>
        <Cell column="Problems">
          <Problems conditions={status.conditions} />
          {used === 0 && <span class="dim">no Backend uses it</span>}
        </Cell>
      </tr>
      {open.value && (
        <tr>
          <td colSpan={6}>
            <CheckUsers name={name} />
          </td>
        </tr>
      )}
    </>
  );
}

// The backends that a check checks, while somebody looks.
function CheckUsers({ name }: { name: string }) {
  const users = useSignal<{ items: Backend[]; continue?: string } | null>(null);
  const fields = "metadata.namespace,metadata.name,status.state";
  const path = `api/v1/backends?healthcheck=${encodeURIComponent(name)}&fields=${fields}&limit=${MOST}`;
  usePolling(async () => void (users.value = await look(path)), LOOK, name);
  if (!users.value) return <p>reading who uses it…</p>;
  return (
    <ul class="users">
      {users.value.items.map((one) => (
        <li key={nameOf(one)}>
          {nameOf(one)} <StateMark state={one.status.state} />
        </li>
      ))}
      {users.value.continue && <li class="dim">and more</li>}
    </ul>
  );
}
