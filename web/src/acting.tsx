// Doing something to backends: they are selected, what it would do is shown, then it is done.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Cell, Table } from "./parts";
import type { ActionOutcome, FlowForecast, ServerForecast } from "./resources";
import {
  act,
  ACTIONS,
  clearSelected,
  isSelected,
  makeRequests,
  mayAct,
  select,
  selected,
  type Action,
  type ActionRequest,
  type Selected,
} from "./session";
import { closeDialog, Dialog } from "./sign_in";

const TITLES: Record<Action, string> = {
  pause: "Pause",
  resume: "Resume",
  enable: "Enable",
  disable: "Disable",
  drain: "Drain",
  weight: "Set weight of",
};
const count = (all: number): string => `${all} ${all === 1 ? "backend" : "backends"}`;
const MOST = 200; // backends of a request

export function SelectBox({ of }: { of: Selected }) {
  return (
    <input
      type="checkbox"
      aria-label={`Select ${of.backend} in pool ${of.pool}`}
      checked={isSelected(of)}
      onChange={(event) => select([of], event.currentTarget.checked)}
    />
  );
}

export function SelectAll({ all, pool }: { all: readonly Selected[]; pool: string }) {
  const on = all.filter(isSelected).length;
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={on > 0 && on === all.length}
        ref={(box) => void (box && (box.indeterminate = on > 0 && on < all.length))}
        onChange={(event) => select(all, event.currentTarget.checked)}
      />
      all of pool {pool}
    </label>
  );
}

// What can be done to what is selected, and the dialog about it, which stays however that ends.
export function Acting() {
  const asked = useSignal<Asked | null>(null);
  return (
    <>
      {mayAct() && selected.value.size > 0 && <ActionBar ask={(found) => (asked.value = found)} />}
      {asked.value && <ActionDialog {...asked.value} onClose={() => (asked.value = null)} />}
    </>
  );
}

interface Asked {
  title: string;
  verb: string;
  requests: readonly ActionRequest[];
}

function ActionBar({ ask }: { ask: (asked: Asked) => void }) {
  const weight = useSignal("");
  const all = new Set([...selected.value.values()].map((one) => one.backend)).size;
  const begin = (action: Action) => {
    const requests = makeRequests(action, Number(weight.value));
    ask({ title: `${TITLES[action]} ${count(all)}`, verb: TITLES[action], requests });
  };
  return (
    <section class="actions" aria-label="What is selected">
      <strong role="status">{count(all)} selected</strong>
      {all > MOST ? (
        <span class="warning">at most {MOST} at once</span>
      ) : (
        ACTIONS.filter((action) => action !== "weight").map((action) => (
          <button key={action} type="button" onClick={() => begin(action)}>
            {TITLES[action]}
          </button>
        ))
      )}
      {all <= MOST && (
        <form onSubmit={(event) => (event.preventDefault(), begin("weight"))}>
          <label>
            Weight{" "}
            <input
              type="number"
              min="0"
              max="100"
              required
              value={weight.value}
              onInput={(event) => (weight.value = event.currentTarget.value)}
            />
          </label>
          <button type="submit">Set</button>
        </form>
      )}
      <button type="button" class="plain" onClick={clearSelected}>
        Select none
      </button>
    </section>
  );
}

function ActionDialog({ title, verb, requests, onClose }: Asked & { onClose: () => void }) {
  const forecast = useSignal<ActionOutcome | null>(null);
  const done = useSignal<ActionOutcome | null>(null);
  const busy = useSignal(false);
  const trouble = useSignal("");
  const run = async (into: typeof forecast, dryRun: boolean) => {
    busy.value = true;
    try {
      into.value = await act(requests, dryRun);
    } catch (error) {
      trouble.value = (error as Error).message;
    }
    busy.value = false;
  };
  useEffect(() => void run(forecast, true), []);
  const shown = done.value ?? forecast.value;
  const possible = forecast.value?.backends.filter((one) => one.outcome === "possible").length ?? 0;
  return (
    <Dialog title={title} onClose={onClose}>
      <div role="status">
        {busy.value && <p>{forecast.value ? "at work…" : "finding out whose flows move…"}</p>}
        {trouble.value && <p class="bad">{trouble.value}</p>}
      </div>
      {shown && <BackendOutcomes outcome={shown} />}
      {!done.value && forecast.value && <Forecasts outcome={forecast.value} />}
      <p class="buttons">
        {!done.value && (
          <button
            type="button"
            disabled={!possible || busy.value || trouble.value !== ""}
            onClick={() => void run(done, false)}
          >
            {possible ? `${verb} ${count(possible)}` : "Nothing to do"}
          </button>
        )}
        <button type="button" autofocus onClick={closeDialog}>
          {done.value || trouble.value ? "Close" : "Cancel"}
        </button>
      </p>
    </Dialog>
  );
}

// What says itself which it is needs no more.
const PREFIXES: Record<string, string> = { possible: "to be ", already: "" };
const LEVELS: Record<string, string> = { forbidden: "bad", failed: "bad", already: "dim" };

function BackendOutcomes({ outcome }: { outcome: ActionOutcome }) {
  return (
    <ul class="outcomes">
      {outcome.backends.map(({ backend, outcome: came, said }, n) => (
        <li key={n}>
          <strong>{backend}</strong>{" "}
          <span class={LEVELS[came] ?? "fine"}>
            {PREFIXES[came] ?? `${came}: `}
            {said}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Forecasts({ outcome }: { outcome: ActionOutcome }) {
  const changing = outcome.frontends.filter((one) => one.servers.some(isChanged));
  return (
    <>
      {!changing.length && <p>No flows move.</p>}
      {changing.map((one) => (
        <ForecastTable key={one.vip} forecast={one} />
      ))}
      {outcome.notes.map((note) => (
        <p key={note} class="dim">
          {note}
        </p>
      ))}
    </>
  );
}

const partOf = (share: ServerForecast["before"]): number => share?.part ?? 0;
const isChanged = ({ before, after, cut }: ServerForecast): boolean =>
  cut || partOf(before) !== partOf(after);
const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

function ForecastTable({ forecast }: { forecast: FlowForecast }) {
  return (
    <Table
      caption={
        <>
          <strong>{forecast.frontend}</strong> {forecast.vip}: {percent(forecast.changed.part)} of new
          flows go elsewhere
          {!forecast.servers.some(({ after }) => partOf(after) > 0) && (
            <strong class="bad">, no server is left</strong>
          )}
        </>
      }
      columns={["Server", "New flows before", "after", "Flows that exist"]}
    >
      {forecast.servers.filter(isChanged).map((server) => (
        <tr key={server.address}>
          <th scope="row">
            {server.address} <span class="dim">{server.backends.join(", ")}</span>
          </th>
          <Cell column="New flows before">{percent(partOf(server.before))}</Cell>
          <Cell column="after">{percent(partOf(server.after))}</Cell>
          <Cell column="Flows that exist" class={server.cut ? "bad" : ""}>
            {server.cut ? "are cut" : "stay"}
          </Cell>
        </tr>
      ))}
    </Table>
  );
}
