// Who looks, and which acts Airflow lets them do. A login may end, and another begin in the same
// browser, so it is asked again: at each connection, before each dialog, when the page is seen anew.

const FIRST_PAUSE_MILLISECONDS = 1000;
const LONGEST_PAUSE_MILLISECONDS = 30000;
const PATIENCE_MILLISECONDS = 10000;

// `may` is null for as long as nobody knows: nothing is forbidden by the page then, the server decides
export const NOBODY_KNOWN = { id: "", name: "", may: null, kinds: [] };

export const namesOf = (people) => people.map(({ name }) => name).join(" or ");

// why `user` may not answer a question, "" where they may or nobody knows
export function mayNotAnswer(user, question) {
  const named = question?.may_answer ?? [];
  const open = !user.may || user.answers_all || named.length === 0;
  if (open || named.some(({ id }) => id === user.id)) return "";
  return `only ${namesOf(named)} may answer this, and you are ${user.name}`;
}

let asked = 0;
let retry = null;

// tells `onUser` what Airflow says, and asks until it says something
export async function whoLooks(onUser, pause = FIRST_PAUSE_MILLISECONDS) {
  clearTimeout(retry);
  const mine = ++asked;
  const user = await answered();
  // a slower answer to an earlier question must not replace a newer one
  if (mine !== asked) return;
  onUser(user ?? NOBODY_KNOWN);
  if (user) return;
  retry = setTimeout(() => whoLooks(onUser, Math.min(2 * pause, LONGEST_PAUSE_MILLISECONDS)), pause);
}

async function answered() {
  try {
    const answer = await fetch("api/me", { signal: AbortSignal.timeout(PATIENCE_MILLISECONDS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
