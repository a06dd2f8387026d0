// What happened, newest first: can be paused and filtered.

import { useSignal } from "@preact/signals";
import { filter, linkTo, setFilter } from "./address";
import { Age, Cell, Clock, Table } from "./parts";
import { events, type PageEvent } from "./store";

const MOST = 200; // rows

export function EventsView() {
  const paused = useSignal<readonly PageEvent[] | null>(null);
  const kinds = useSignal("");
  const words = filter("search").toLowerCase().split(/\s+/);
  const all = paused.value ?? events.value;
  const shown = all.filter(
    (event) =>
      (!kinds.value || event.kind === kinds.value) &&
      words.every((word) =>
        [event.about, event.text, ...event.frontends].join(" ").toLowerCase().includes(word),
      ),
  );
  const missed = paused.value ? events.value.length - paused.value.length : 0;
  return (
    <>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label>
          Search
          <input
            type="search"
            value={filter("search")}
            onInput={(event) => setFilter("search", event.currentTarget.value)}
          />
        </label>
        <label>
          What
          <select value={kinds.value} onChange={(event) => (kinds.value = event.currentTarget.value)}>
            <option value="">anything</option>
            <option value="transition">transitions of backends</option>
            <option value="failover">failovers of pools</option>
            <option value="removed">removals of backends</option>
            <option value="action">what people did here</option>
          </select>
        </label>
        <button
          type="button"
          aria-pressed={paused.value !== null}
          onClick={() => (paused.value = paused.value ? null : events.value)}
        >
          {paused.value ? `Go on${missed > 0 ? ` (${missed} new)` : ""}` : "Pause"}
        </button>
      </form>
      <Table
        caption={`${shown.length} of ${all.length} events${paused.value ? ", paused" : ""}`}
        columns={["When", "About", "What", "Frontends"]}
      >
        {shown.slice(0, MOST).map((event) => (
          <tr key={event.number}>
            <th scope="row">
              <Clock at={event.at} /> (<Age at={event.at} /> ago)
            </th>
            <Cell column="About">{event.about}</Cell>
            <Cell column="What" class="detail">
              <span class={`state ${event.level}`}>{event.text}</span>
            </Cell>
            <Cell column="Frontends">
              {event.frontends.map((name) => (
                <a key={name} href={linkTo("frontends", name)}>
                  {name}
                </a>
              ))}
            </Cell>
          </tr>
        ))}
      </Table>
    </>
  );
}
