"""The page that switches the faults: plain HTML that speaks to `/control`, with nothing from elsewhere."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FarmLokal: the outside world</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 52rem; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .3rem .8rem .3rem 0; text-align: left; }
pre { background: #eee; padding: 1rem; overflow: auto; }
</style>
<h1>The outside world</h1>
<p>A supplier and its OAuth provider, simulated. What is chosen holds from the next request on.</p>
<table>
<thead><tr><th>endpoint</th><th>does</th><th>after (s)</th><th>for its share</th></tr></thead>
<tbody id="endpoints"></tbody>
</table>
<p><button id="revoke">Refuse every token issued so far</button> <button id="heal">All honest</button></p>
<p id="said" role="status"></p>
<h2>So far</h2>
<pre id="told"></pre>
<script>
const statuses = [401, 403, 404, 429, 500, 502, 503, 504];
const said = document.getElementById("said");
async function ask(path, method, body) {
  const answer = await fetch(path, {method, body: body && JSON.stringify(body)});
  const told = await answer.json();
  said.textContent = answer.ok ? "" : told.error;
  if (answer.ok) document.getElementById("told").textContent = JSON.stringify(told, null, 2);
  return told;
}
function row(name, faults) {
  const line = document.createElement("tr");
  const choice = document.createElement("select");
  for (const what of ["honest", ...faults, ...statuses]) choice.add(new Option(what, what));
  const number = (value, max) =>
    Object.assign(document.createElement("input"), {type: "number", min: 0, max, value, step: 0.1});
  const after = number(0, 3600), share = number(1, 1);
  choice.setAttribute("aria-label", name + " does");
  after.setAttribute("aria-label", name + " after seconds");
  share.setAttribute("aria-label", name + " for a share of requests");
  const play = () => {
    const step = {latencyS: Number(after.value), share: Number(share.value)};
    if (statuses.includes(Number(choice.value))) step.status = Number(choice.value);
    else if (choice.value !== "honest") step.fault = choice.value;
    if ([429, 503].includes(step.status)) step.retryAfter = "7";
    ask("/control/" + name, "PUT", [step]);
  };
  for (const field of [choice, after, share]) field.addEventListener("change", play);
  for (const field of [name, choice, after, share]) line.insertCell().append(field);
  document.getElementById("endpoints").append(line);
}
document.getElementById("revoke").addEventListener("click", () => ask("/control/revoke", "POST"));
document.getElementById("heal").addEventListener("click", async () => {
  await ask("/control/heal", "POST");
  for (const field of document.querySelectorAll("select")) field.value = "honest";
});
ask("/control", "GET").then(told => {
  for (const name of told.endpoints) row(name, told.faults);
  setInterval(() => ask("/control", "GET"), 2000);
});
</script>
</html>
"""
