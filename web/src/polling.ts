// Asking again and again, while somebody looks.

import { useEffect } from "preact/hooks";

// Look at once and again `every` so many milliseconds, one look at a time, while the tab is seen.
export function usePolling(look: () => Promise<void>, every: number, of: string): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    let looking = false;
    const again = async () => {
      if (looking || ended || document.hidden) return;
      clearTimeout(timer);
      looking = true;
      await look().catch(() => undefined);
      looking = false;
      if (!ended) timer = setTimeout(() => void again(), every);
    };
    const onSeen = () => void again();
    onSeen();
    document.addEventListener("visibilitychange", onSeen);
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onSeen);
    };
  }, [of]);
}
