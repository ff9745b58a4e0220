// The stream of sections. It comes back by itself, and says since when it has been silent: what is
// on the page then stays, marked as stale.

const SILENT_MILLISECONDS = 12000;
const RETRY_MILLISECONDS = 2000;
// a stream ends every few minutes by itself, and is back within two seconds
const PATIENCE_MILLISECONDS = 3000;
const SECTIONS = ["migration", "gate", "fleet", "guard", "parity", "chain", "log", "airflow", "sources"];

let offsetSeconds = 0;

// now by the server's clock, in unix seconds
export const serverNow = () => Date.now() / 1000 + offsetSeconds;

// `onOpen` is called at each connection: its login may be another than that of the one before
export function follow(onSection, onState, onOpen) {
  let source = null;
  let heardAt = Date.now();
  let lostAt = null;
  let why = "";
  let suspicion = null;

  function heard() {
    heardAt = Date.now();
    clearTimeout(suspicion);
    suspicion = null;
    if (lostAt !== null || why !== "live") {
      lostAt = null;
      why = "live";
      onState({ live: true });
    }
  }

  function lost(reason) {
    lostAt ??= heardAt;
    if (why !== reason) {
      why = reason;
      onState({ live: false, since: lostAt / 1000 + offsetSeconds, reason });
    }
  }

  function connect() {
    source = new EventSource("api/live");
    source.addEventListener("open", onOpen);
    source.addEventListener("beat", (event) => {
      offsetSeconds = JSON.parse(event.data).now - Date.now() / 1000;
      heard();
    });
    for (const name of SECTIONS) {
      source.addEventListener(name, (event) => {
        heard();
        onSection(name, JSON.parse(event.data));
      });
    }
    source.addEventListener("error", async () => {
      suspicion ??= setTimeout(() => lost("connection lost"), PATIENCE_MILLISECONDS);
      if (source.readyState !== EventSource.CLOSED) return;
      // an answer that is no stream: a login that ended, or a server that is not itself
      const answer = await fetch("api/me").catch(() => null);
      lost(answer?.status === 401 ? "your login has ended: log in to Airflow again" : "no connection");
      setTimeout(connect, RETRY_MILLISECONDS);
    });
  }

  setInterval(() => {
    if (Date.now() - heardAt > SILENT_MILLISECONDS) {
      lost("no news");
      if (source.readyState === EventSource.OPEN) {
        source.close();
        connect();
        heardAt = Date.now();
      }
    }
  }, 1000);
  connect();
}
