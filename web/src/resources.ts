// The shapes of what the HTTP API shows, as far as this page reads them (see openapi.json).

export type State = "up" | "down" | "unknown" | "paused" | "disabled";
export const STATES: readonly State[] = ["down", "unknown", "up", "paused", "disabled"];

export interface Metadata {
  name: string;
  namespace?: string;
}

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface Member {
  name: string;
  address: string;
  pool: string;
  state: State;
  weight: number;
  effectiveWeight: number;
}

export interface Frontend {
  metadata: Metadata;
  spec: {
    description?: string;
    address?: string;
    port?: number;
    protocol?: string;
    pools?: { name: string }[];
  };
  status: {
    state?: State;
    activePool?: string;
    ready?: string;
    backends?: Member[];
    nodes?: { desired: number; programmed: number; summary?: string };
    conditions?: Condition[];
  };
}

export interface Transition {
  from: State;
  to: State;
  at: string;
  code?: string;
  detail?: string;
}

export interface Backend {
  metadata: Metadata;
  spec: { address?: string; healthCheckRef?: { name: string } };
  status: {
    state?: State;
    since?: string;
    code?: string;
    detail?: string;
    transitions?: Transition[];
    conditions?: Condition[];
  };
}

export interface HealthCheck {
  metadata: Metadata;
  spec: { type?: string; port?: number; interval?: string; timeout?: string };
  status: { backends?: number; conditions?: Condition[] };
}

export interface Dataplane {
  metadata: Metadata;
  spec: { paused?: boolean };
  status: {
    vpp?: { version?: string; connected?: boolean; since?: string };
    direct?: { operator: string; since?: string };
    frontends?: { total: number; programmed: number; summary?: string };
    programmed?: Record<string, string>;
    others?: number;
    errors?: { frontend: string; message: string }[];
    lastChange?: string;
    conditions?: Condition[];
  };
}

export interface NodeVip {
  vip: string;
  frontend: string | null;
  flowTableLength: number;
  packets?: { existing: number; first: number; untracked: number; no_server: number };
  servers: { address: string; weight: number; buckets: number | null }[];
}

export interface NodeVips {
  node: string;
  at: string;
  drift?: { repaired: number; last: string | null }; // agents of older versions do not tell it
  packetsUnknown?: string;
  vips: NodeVip[];
}

export interface OperatorState {
  identity: string;
  role: "leading" | "standby" | "suspended" | "lost" | "alone";
  leader: string;
  leaderSince: string | null;
  standbys: string[] | null;
  namespaces: string[];
  silentSince: string | null;
  decidedAt: string | null;
  trouble: string;
  now: string;
}

export interface ActionEvent {
  action: string;
  backend: string;
  frontend: string;
  by: string;
  at: string;
  done: boolean;
  said: string;
}

export interface Session {
  acting: boolean;
  signIn: "token" | "password" | null;
  reading: "everybody" | "signedIn";
  signedIn: boolean;
  name: string;
  trouble?: string;
}

interface Share {
  weight: number;
  buckets: number;
  part: number;
}

export interface ServerForecast {
  address: string;
  backends: string[];
  before: Share | null;
  after: Share | null;
  cut: boolean;
}

export interface FlowForecast {
  frontend: string;
  vip: string;
  changed: { buckets: number; of: number; part: number };
  servers: ServerForecast[];
}

export interface ActionOutcome {
  backends: {
    backend: string;
    outcome: "possible" | "done" | "draining" | "already" | "forbidden" | "failed";
    said: string;
  }[];
  frontends: FlowForecast[];
  notes: string[];
}

export interface Probe {
  at: string;
  tookSeconds: number;
  code: string;
  detail: string;
}

export interface ProbeHistories {
  last: number;
  items: { backend: string; probed: boolean; since?: string; probes: Probe[] }[];
}

export interface StoredObject {
  metadata: Metadata;
}

export function nameOf(object: StoredObject): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

export function formatVip({ spec }: Frontend): string {
  if (!spec.address) return "no address";
  const address = spec.port && spec.address.includes(":") ? `[${spec.address}]` : spec.address;
  return `${address}${spec.port ? `:${spec.port}` : ""} ${spec.protocol ?? "TCP"}`;
}
