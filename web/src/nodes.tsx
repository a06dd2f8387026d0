// The nodes: their VPP, by which road they hear, what they have programmed and what passes.

import { useSignal } from "@preact/signals";
import { Operators } from "./operators";
import { Age, Cell, Fold, Problems, Table, useKeptFocus } from "./parts";
import { usePolling } from "./polling";
import { judgeNode, rank } from "./problems";
import type { NodeVips } from "./resources";
import { look } from "./server";
import { nodes } from "./store";

const LOOK = 2000; // milliseconds from one look at a node to the next

export function NodesView() {
  return (
    <>
      <Operators />
      <NodeList />
    </>
  );
}

function NodeList() {
  const judged = nodes.names.value
    .map((name) => ({ name, severity: judgeNode(nodes.get(name)!) }))
    .sort((one, other) => rank(one.severity) - rank(other.severity));
  useKeptFocus(judged.map(({ name }) => name).join(" "));
  if (!nodes.isWhole.value && !judged.length) return <p>reading the nodes…</p>;
  if (!judged.length) return <p>There are no nodes: no agent has made its Dataplane yet.</p>;
  return (
    <ul class="folds">
      {judged.map(({ name, severity }) => {
        const { status, spec } = nodes.get(name)!;
        return (
          <Fold
            key={name}
            view="nodes"
            name={name}
            severity={severity}
            summary={
              <>
                <span class={status.vpp?.connected ? "" : "bad"}>
                  {status.vpp?.version ? `VPP ${status.vpp.version}` : "VPP unknown"}
                  {status.vpp?.connected ? "" : ", not connected"}
                </span>
                <span>{status.frontends?.summary ?? "0/0"} frontends</span>
                <span>{status.direct ? "direct" : "by the API server"}</span>
                {spec.paused && <span class="warning">paused</span>}
                {status.errors?.length ? <span class="bad">{status.errors.length} errors</span> : null}
              </>
            }
          >
            {() => <NodeDetail name={name} />}
          </Fold>
        );
      })}
    </ul>
  );
}

function NodeDetail({ name }: { name: string }) {
  const { status } = nodes.get(name)!;
  return (
    <>
      <Problems conditions={status.conditions} />
      <dl>
        <dt>VPP</dt>
        <dd>
          {status.vpp?.connected ? "connected" : "not connected"} for <Age at={status.vpp?.since} />
        </dd>
        <dt>Decisions come</dt>
        <dd>
          {status.direct ? (
            <>
              directly from {status.direct.operator} for <Age at={status.direct.since} />
            </>
          ) : (
            "by the API server alone"
          )}
        </dd>
        <dt>Last change</dt>
        <dd>{status.lastChange ? <><Age at={status.lastChange} /> ago</> : "none"}</dd>
        <dt>VIPs of others</dt>
        <dd>{status.others ?? 0}</dd>
      </dl>
      {status.errors?.length ? (
        <ul class="problems">
          {status.errors.map((error) => (
            <li key={error.frontend} class="bad">
              <strong>{error.frontend}</strong> {error.message}
            </li>
          ))}
        </ul>
      ) : null}
      <NodeVipsTable name={name} />
    </>
  );
}

function NodeVipsTable({ name }: { name: string }) {
  const seen = useSignal<{ now: NodeVips; before?: NodeVips } | null>(null);
  const trouble = useSignal("");
  const follow = async () => {
    try {
      const found = await look<NodeVips>(`api/v1/dataplanes/${encodeURIComponent(name)}/vips`);
      if (found.at !== seen.peek()?.now.at) seen.value = { now: found, before: seen.peek()?.now };
      trouble.value = "";
    } catch (error) {
      trouble.value = String((error as Error).message);
    }
  };
  usePolling(follow, LOOK, name);
  if (!seen.value) return trouble.value ? <p class="dim">VIPs: {trouble.value}</p> : null;
  const { now: found, before } = seen.value;
  return (
    <>
      {trouble.value && <p class="warning">VIPs: {trouble.value}</p>}
      {found.drift && <Drift {...found.drift} />}
      {found.packetsUnknown && <p class="dim">Packets are not known: {found.packetsUnknown}</p>}
      <Table
        caption={<>VIPs in VPP, as of <Age at={found.at} /> ago</>}
        columns={["VIP", "Frontend", "Packets a second", "Servers"]}
      >
        {found.vips.map((vip) => (
          <tr key={vip.vip}>
            <th scope="row">{vip.vip}</th>
            <Cell column="Frontend">{vip.frontend ?? "not ours"}</Cell>
            <Cell column="Packets a second" class="number">
              {formatRate(found, before, vip.vip)}
            </Cell>
            <Cell column="Servers" class="number">
              {vip.servers.length}
            </Cell>
          </tr>
        ))}
      </Table>
    </>
  );
}

// What somebody else has changed in VPP, and how long ago that was undone.
function Drift({ repaired, last }: NonNullable<NodeVips["drift"]>) {
  if (!last) return <p class="dim">Drift: nobody else has changed anything since its agent began</p>;
  return (
    <p class="warning">
      Drift: {repaired} {repaired === 1 ? "change" : "changes"} of somebody else were undone, the last{" "}
      <Age at={last} /> ago
    </p>
  );
}

function countPackets(page: NodeVips | undefined, vip: string): number | null {
  const packets = page?.vips.find((one) => one.vip === vip)?.packets;
  return packets ? Object.values(packets).reduce((sum, one) => sum + one, 0) : null;
}

function formatRate(now: NodeVips, before: NodeVips | undefined, vip: string): string {
  const [newer, older] = [countPackets(now, vip), countPackets(before, vip)];
  if (newer === null || older === null || newer < older) return "";
  const seconds = (Date.parse(now.at) - Date.parse(before!.at)) / 1000;
  return seconds > 0 ? ((newer - older) / seconds).toLocaleString([], { maximumFractionDigits: 1 }) : "";
}
