// Signing in and out, where the server knows people.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { connect } from "./server";
import { session, signIn, signOut } from "./session";

export function Account() {
  const asking = useSignal(false);
  const told = session.value;
  if (!told?.signIn) return null;
  return (
    <div class="account">
      {told.signedIn ? (
        <>
          <bdi>{told.name}</bdi>{" "}
          <button type="button" class="plain" onClick={() => void signOut().then(connect)}>
            Sign out
          </button>
        </>
      ) : (
        <button type="button" class="plain" onClick={() => (asking.value = true)}>
          Sign in
        </button>
      )}
      {asking.value && <SignInDialog kind={told.signIn} onClose={() => (asking.value = false)} />}
    </div>
  );
}

// A dialog that has the page to itself; Escape closes it, and the keyboard is where it was before.
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: preact.ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current!.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

// Close the dialog around an element, as Escape does.
export const closeDialog = (event: { currentTarget: Element }): void =>
  event.currentTarget.closest("dialog")!.close();

function SignInDialog({ kind, onClose }: { kind: "token" | "password"; onClose: () => void }) {
  const trouble = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const given = Object.fromEntries(new FormData(form)) as Record<string, string>;
    for (const name of Object.keys(given)) if (name !== "password") given[name] = given[name]!.trim();
    try {
      await signIn(given);
      form.closest("dialog")!.close();
      connect();
    } catch (error) {
      trouble.value = (error as Error).message;
    }
  };
  return (
    <Dialog title="Sign in" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        {kind === "token" ? (
          <>
            <label>
              Token
              <input name="token" type="password" autocomplete="off" required />
            </label>
            <p class="dim">
              Your own of the cluster, such as <code>kubectl create token NAME</code> prints. What you
              may do there you may do here.
            </p>
          </>
        ) : (
          <>
            <label>
              Name
              <input name="name" autocomplete="username" required />
            </label>
            <label>
              Password
              <input name="password" type="password" autocomplete="current-password" required />
            </label>
          </>
        )}
        {trouble.value && (
          <p class="bad" role="alert">
            {trouble.value}
          </p>
        )}
        <p class="buttons">
          <button type="submit">Sign in</button>
          <button type="button" onClick={closeDialog}>
            Cancel
          </button>
        </p>
      </form>
    </Dialog>
  );
}
