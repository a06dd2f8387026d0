// A frontend, unfolded: its pools and backends, their last transitions, their shares by node.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Age, Cell, Clock, Problems, StateMark, Table } from "./parts";
import { nameOf, type Frontend, type Member, type NodeVip, type NodeVips } from "./resources";
import { SelectAll, SelectBox } from "./acting";
import { mayAct, type Selected } from "./session";
import { usePolling } from "./polling";
import { ProbesSeen, useProbes } from "./probes";
import { loadMembers, look } from "./server";
import { backends, frontends, nodes } from "./store";

const LOOK = 3000; // milliseconds from one look at the nodes to the next
const LAST = 10; // transitions that are shown

const COLUMNS = ["Backend", "Address", "State", "Since", "Why", "Probes", "Weight"];

export function FrontendDetail({ name }: { name: string }) {
  const shares = useSignal<readonly NodeShare[]>([]);
  useEffect(() => void loadMembers(name).catch(() => undefined), [name]);
  // Again as soon as it is known which nodes there are.
  const of = `${name} ${nodes.isWhole.value}`;
  usePolling(async () => void (shares.value = await readShares(name)), LOOK, of);
  useProbes(name);
  const frontend = frontends.get(name);
  if (!frontend) return null;
  const { spec, status } = frontend;
  const members = status.backends ?? [];
  const ofPool = (pool: string) => members.filter((member) => member.pool === pool);
  return (
    <>
      {spec.description && <p class="dim">{spec.description}</p>}
      <Problems conditions={status.conditions} />
      {(spec.pools ?? []).map((pool) => (
        <Table
          key={pool.name}
          caption={
            <>
              Pool {pool.name}
              {pool.name === status.activePool && <strong> serves</strong>}
              {mayAct() && (
                <SelectAll
                  pool={pool.name}
                  all={ofPool(pool.name).map((member) => asSelected(frontend, member))}
                />
              )}
            </>
          }
          columns={shares.value.length ? [...COLUMNS, "New flows"] : COLUMNS}
        >
          {ofPool(pool.name).map((member) => (
            <MemberRow key={member.name} frontend={frontend} member={member} shares={shares.value} />
          ))}
        </Table>
      ))}
      <Transitions frontend={frontend} />
    </>
  );
}

const asSelected = (frontend: Frontend, { pool, name }: Member): Selected => ({
  frontend: nameOf(frontend),
  pool,
  backend: `${frontend.metadata.namespace}/${name}`,
});

function MemberRow({
  frontend,
  member,
  shares,
}: {
  frontend: Frontend;
  member: Member;
  shares: readonly NodeShare[];
}) {
  const backend = `${frontend.metadata.namespace}/${member.name}`;
  const told = backends.get(backend)?.status;
  return (
    <tr>
      <th scope="row">
        {mayAct() && <SelectBox of={asSelected(frontend, member)} />} {member.name}
      </th>
      <Cell column="Address">{member.address}</Cell>
      <Cell column="State">
        <StateMark state={member.state} />
      </Cell>
      <Cell column="Since">
        <Age at={told?.since} />
      </Cell>
      <Cell column="Why" class="detail">
        {[told?.code, told?.detail].filter(Boolean).join(": ")}
      </Cell>
      <Cell column="Probes" class="seen">
        <ProbesSeen backend={backend} />
      </Cell>
      <Cell column="Weight" class="number">
        {member.weight} → {member.effectiveWeight}
      </Cell>
      {shares.length > 0 && (
        <Cell column="New flows">
          <Shares address={member.address} shares={shares} />
        </Cell>
      )}
    </tr>
  );
}

// --- shares --------------------------------------------------------------------------------------

interface NodeShare {
  node: string;
  vip?: NodeVip;
  trouble?: string;
}

async function readShares(frontend: string): Promise<readonly NodeShare[]> {
  const carrying = nodes.names
    .peek()
    .filter((node) => frontend in (nodes.get(node)?.status.programmed ?? {}));
  return Promise.all(
    carrying.map(async (node) => {
      try {
        const path = `api/v1/dataplanes/${encodeURIComponent(node)}/vips`;
        const found = await look<NodeVips>(`${path}?frontend=${encodeURIComponent(frontend)}`);
        return { node, vip: found.vips.find((vip) => vip.frontend === frontend) };
      } catch (error) {
        return { node, trouble: String((error as Error).message) };
      }
    }),
  );
}

// The exact share of new flows, as VPP's own tables have it, node by node.
function Shares({ address, shares }: { address: string; shares: readonly NodeShare[] }) {
  const found = shares.map(({ node, vip, trouble }) => {
    const buckets = vip?.servers.find((server) => server.address === address)?.buckets;
    return { node, trouble, share: vip && buckets != null ? buckets / vip.flowTableLength : null };
  });
  const texts = new Set(found.map(({ share }) => formatShare(share)));
  if (texts.size === 1)
    return <Share share={found[0]!.share} on={found.length > 1 ? `${found.length} nodes` : ""} />;
  return (
    <>
      {found.map(({ node, share, trouble }) => (
        <Share key={node} share={share} on={node} trouble={trouble} />
      ))}
    </>
  );
}

const formatShare = (share: number | null) => (share === null ? "?" : `${(100 * share).toFixed(1)} %`);

function Share({ share, on, trouble }: { share: number | null; on: string; trouble?: string }) {
  return (
    <div class="share" title={trouble}>
      <span class="bar" aria-hidden="true">
        <i style={{ width: formatShare(share ?? 0).replace(" ", "") }} />
      </span>
      <span>{formatShare(share)}</span>
      {on && <span class="dim">{on}</span>}
    </div>
  );
}

// --- transitions ---------------------------------------------------------------------------------

function Transitions({ frontend }: { frontend: Frontend }) {
  const names = [...new Set((frontend.status.backends ?? []).map((one) => one.name))];
  const found = names
    .flatMap((name) =>
      (backends.get(`${frontend.metadata.namespace}/${name}`)?.status.transitions ?? []).map((one) => ({
        ...one,
        name,
      })),
    )
    .sort((one, other) => Date.parse(other.at) - Date.parse(one.at))
    .slice(0, LAST);
  if (!found.length) return null;
  return (
    <Table caption="Last transitions" columns={["Backend", "When", "From", "To", "Why"]}>
      {found.map((one) => (
        <tr key={`${one.name} ${one.at}`}>
          <th scope="row">{one.name}</th>
          <Cell column="When">
            <Clock at={one.at} /> (<Age at={one.at} /> ago)
          </Cell>
          <Cell column="From">
            <StateMark state={one.from} />
          </Cell>
          <Cell column="To">
            <StateMark state={one.to} />
          </Cell>
          <Cell column="Why" class="detail">
            {[one.code, one.detail].filter(Boolean).join(": ")}
          </Cell>
        </tr>
      ))}
    </Table>
  );
}
