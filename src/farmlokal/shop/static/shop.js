// Makes the browse page quicker: what a link or the form would load whole is fetched and put in its place. The
// server renders everything, so there is one rendering of a product. The address holds all state, the page of
// the list that is in view included; history.state holds only which card was at the top, and where.
"use strict";

const TYPING_MS = 200, SCROLL_MS = 150, AHEAD = "800px";
const byId = (id) => document.getElementById(id);
const form = byId("form"), results = byId("results"), count = byId("count"), announced = byId("announce");
let flight = new AbortController(), typing = false, loading = false, typed = 0, scrolled = 0, shown = here();

const ahead = new IntersectionObserver(
  (seen) => { if (seen.some((each) => each.isIntersecting)) more(byId("more")); }, { rootMargin: AHEAD });

function here() {
  return location.pathname + location.search;
}

function watch() {
  ahead.disconnect();
  if (byId("more")) ahead.observe(byId("more"));
}

async function load(address, signal) {
  const answer = await fetch(address, { signal, headers: { accept: "text/html" } });
  // A page that says what is wrong with a filter is a page; a refusal of the server's gate is none.
  if (!(answer.headers.get("content-type") || "").startsWith("text/html")) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function addressOfForm() {
  const given = [...new FormData(form)].filter(([, value]) => value.trim());
  const place = given.some(([name]) => name === "pincode" || name === "near");
  const query = new URLSearchParams(given.filter(([name]) => place || name !== "radiusKm"));
  return query.size ? "/?" + query : "/";
}

function show(page) {
  const focused = document.activeElement && document.activeElement.id;
  const unsent = focused && focused !== "q" && byId("facets").contains(byId(focused)) ? byId(focused).value : null;
  for (const id of ["languages", "facets", "results"]) byId(id).replaceChildren(...page.getElementById(id).childNodes);
  count.textContent = page.getElementById("count").textContent;
  const again = focused && byId(focused);
  if (again && again !== document.activeElement) {
    if (unsent !== null && again.matches("input:not([type=checkbox])")) again.value = unsent;
    again.focus({ preventScroll: true });
  }
  watch();
}

async function go(address, arrived) {
  flight.abort();
  const own = flight = new AbortController();
  results.setAttribute("aria-busy", "true");
  try {
    const page = await load(address, own.signal);
    show(page);
    arrived(page);
  } catch (error) {
    if (error.name !== "AbortError") announced.textContent = form.dataset.failed;
  } finally {
    if (own === flight) results.removeAttribute("aria-busy");
  }
}

function search(isTyping) {
  clearTimeout(typed);
  const address = addressOfForm();
  if (address === here()) return;
  // A word that is being typed is one step back, not one for each letter.
  history[isTyping && typing ? "replaceState" : "pushState"](null, "", address);
  shown = here();
  typing = isTyping;
  go(address, () => { if (!isTyping) scrollTo(0, Math.min(scrollY, results.offsetTop)); });
}

async function more(link, earlier = false) {
  if (!link || loading) return;
  loading = true;
  const address = new URL(link.href);
  address.pathname = "/cards";
  try {
    const page = await load(address);
    if (!link.isConnected) return;
    const cards = [...page.querySelectorAll("#cards > li")], list = byId("cards"), before = list.offsetHeight;
    list[earlier ? "prepend" : "append"](...cards);
    const next = page.getElementById(link.id);
    if (next) link.replaceWith(next); else link.parentElement.remove();
    if (earlier) scrollBy(0, list.offsetHeight - before);
    announced.textContent = form.dataset.loaded.replace("#", cards.length);
  } catch {
    announced.textContent = form.dataset.failed;
  } finally {
    loading = false;
    watch();
  }
}

function remember() {
  const top = [...results.querySelectorAll("#cards > li")].find((card) => card.getBoundingClientRect().bottom > 0);
  let first = top;
  while (first && !first.dataset.here) first = first.previousElementSibling;
  if (!first || results.hasAttribute("aria-busy")) return;
  history.replaceState({ card: top.id, top: top.getBoundingClientRect().top }, "", first.dataset.here);
  shown = here();
}

function restore(state) {
  const card = state && byId(state.card);
  scrollTo(0, card ? card.getBoundingClientRect().top + scrollY - state.top : 0);
}

function nearMe() {
  if (!navigator.geolocation) return;
  navigator.geolocation.getCurrentPosition(
    // Two places are a kilometre: enough for a market, and nobody's door.
    ({ coords }) => {
      byId("near").value = coords.latitude.toFixed(2) + "," + coords.longitude.toFixed(2);
      byId("pincode").value = "";
      search(false);
    },
    () => { count.textContent = form.dataset.noPosition; });
}

document.documentElement.classList.add("scripts");
history.scrollRestoration = "manual";
if (matchMedia("(max-width: 47.99rem)").matches) byId("filters").open = false;
form.addEventListener("submit", (event) => { event.preventDefault(); search(false); });
form.addEventListener("input", (event) => {
  if (event.target.id !== "q") return;
  clearTimeout(typed);
  typed = setTimeout(search, TYPING_MS, true);
});
form.addEventListener("change", (event) => {
  if (event.target.id === "q") {
    typing = false;
    return;
  }
  if (event.target.id === "state" && byId("district")) byId("district").value = "";
  search(false);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("#cards a")) remember();
  const target = event.target.closest("#near-me, #more, #earlier");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (target.id === "near-me") nearMe(); else more(target, target.id === "earlier");
});
addEventListener("scroll", () => { clearTimeout(scrolled); scrolled = setTimeout(remember, SCROLL_MS); }, { passive: true });
addEventListener("popstate", ({ state }) => {
  if (here() === shown) return;  // only the fragment moved
  clearTimeout(typed);
  clearTimeout(scrolled);
  typing = false;
  shown = here();
  go(shown, (page) => {
    byId("q").value = page.getElementById("q").value;
    restore(state);
  });
});
restore(history.state);
watch();
