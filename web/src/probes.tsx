// The last probes of each backend: how long they took, which failed, and a beat at each new one.

import { signal, type Signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { usePolling } from "./polling";
import type { Probe, ProbeHistories } from "./resources";
import { look } from "./server";
import { applySoon } from "./store";

const LOOK = 1000; // milliseconds from one question to the next
const LENGTH = 60; // probes that are shown
const STEP = 2; // pixels from one to the next
const WIDTH = LENGTH * STEP;
const HEIGHT = 24;
const EDGE = 3; // above the slowest, and below the fastest

interface History {
  probed: boolean;
  since: string | undefined;
  probes: readonly Probe[];
  count: number; // of all that came: at each there is a beat
}

const histories = new Map<string, Signal<History | null>>();

function historyOf(backend: string): Signal<History | null> {
  let found = histories.get(backend);
  if (!found) histories.set(backend, (found = signal(null)));
  return found;
}

// Follow the probes of a frontend's backends while it is drawn.
export function useProbes(frontend: string): void {
  const after = useRef(0);
  const follow = async () => {
    const path = `api/v1/probes?frontend=${encodeURIComponent(frontend)}&after=${after.current}`;
    const found = await look<ProbeHistories>(path);
    after.current = found.last;
    applySoon(() => found.items.forEach(addProbes));
  };
  usePolling(follow, LOOK, frontend);
}

function addProbes({ backend, probed, since, probes }: ProbeHistories["items"][number]): void {
  const kept = historyOf(backend);
  const known = kept.peek()?.since === since ? kept.peek() : null; // else it began anew
  if (known && known.probed === probed && !probes.length) return;
  kept.value = {
    probed,
    since,
    probes: [...(known?.probes ?? []), ...probes].slice(-LENGTH),
    count: (known?.count ?? 0) + probes.length,
  };
}

const hasFailed = (probe: Probe) => !probe.code.endsWith("OK");

export function ProbesSeen({ backend }: { backend: string }) {
  const history = historyOf(backend).value;
  if (!history) return null;
  const { probed, since, probes, count } = history;
  const last = probes.at(-1);
  return (
    <div class="probes">
      {last && probed && (
        <i key={count} class={`beat ${hasFailed(last) ? "down" : "up"}`} aria-hidden="true" />
      )}
      {last && <Sparkline probes={probes} />}
      {last && probed && <span>{formatTime(last.tookSeconds)}</span>}
      {!probed ? (
        <span class="dim">not probed</span>
      ) : !since ? (
        <span class="dim">too many are watched</span>
      ) : last ? null : (
        <span class="dim">none yet</span>
      )}
    </div>
  );
}

export function formatTime(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const milliseconds = seconds * 1000;
  return `${milliseconds.toFixed(milliseconds < 1 ? 2 : milliseconds < 10 ? 1 : 0)} ms`;
}

// What the picture shows, for who does not see it.
export function describeProbes(probes: readonly Probe[]): string {
  const times = probes.map((one) => one.tookSeconds).sort((one, other) => one - other);
  const [last, failed] = [probes.at(-1)!, probes.filter(hasFailed).length];
  return [
    `${probes.length} ${probes.length === 1 ? "probe" : "probes"}: last ${formatTime(last.tookSeconds)}`,
    `median ${formatTime(times[times.length >> 1]!)}`,
    `maximum ${formatTime(times.at(-1)!)}`,
    failed ? `${failed} failed, the last with ${probes.filter(hasFailed).at(-1)!.code}` : "none failed",
  ].join(", ");
}

function Sparkline({ probes }: { probes: readonly Probe[] }) {
  const most = Math.max(...probes.map((one) => one.tookSeconds)) || 1;
  const begin = WIDTH - probes.length * STEP + STEP / 2; // the newest is at the right
  const points = probes.map((one, n) => ({
    failed: hasFailed(one),
    x: begin + n * STEP,
    y: (HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * one.tookSeconds) / most).toFixed(1),
  }));
  const line = points.map(({ x, y }, n) => `${n ? "L" : "M"}${x} ${y}`).join("");
  const failed = points
    .filter((one) => one.failed)
    .map(({ x }) => `M${x - 3} ${HEIGHT - 6}l3 5l3 -5zM${x} 0V${HEIGHT - 6}`)
    .join("");
  const words = describeProbes(probes);
  return (
    <svg class="sparkline" width={WIDTH} height={HEIGHT} role="img" aria-label={words}>
      <title>{words}</title>
      <path d={line} />
      {failed && <path class="failed" d={failed} />}
    </svg>
  );
}
