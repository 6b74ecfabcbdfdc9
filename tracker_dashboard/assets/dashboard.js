// Follows links to the dashboard's own pages as the browser's Back and Forward buttons do: the
// address changes, and Streamlit shows the page of the new one. Streamlit's own links add addresses
// to the history that mix the parameters of two pages.
if (!window.followsPageLinks) {
  window.followsPageLinks = true;
  const open = (address, replaces) => {
    if (replaces) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    window.dispatchEvent(new PopStateEvent("popstate"));
    document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-page]");
    const opensElsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || opensElsewhere) return;
    event.preventDefault();
    open(link.href, "replace" in link.dataset);
  });
  // A chart that is gone does not hide its tooltip.
  window.addEventListener("popstate", () => {
    document.getElementById("vg-tooltip-element")?.classList.remove("visible");
  });
  // A search opens the Stories page at once: otherwise the page that is left would run first.
  document.addEventListener("keydown", (event) => {
    const field = event.target;
    if (event.key !== "Enter" || event.isComposing || field.type !== "search" || !field.value) return;
    if (location.pathname.endsWith("/stories")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const params = new URLSearchParams({ q: field.value });
    const project = new URLSearchParams(location.search).get("project");
    if (project) params.set("project", project);
    open(`stories?${params}`);
  }, true);
}

// Charts and tables take longest to draw: they wait until all texts of the page are there. Then they
// are drawn one by one, from top to bottom, whenever the browser has nothing else to do.
if (!window.drawsChartsLast) {
  window.drawsChartsLast = true;
  const waiting = "[data-testid=stFullScreenFrame]:not([data-drawn])";
  const whenIdle = window.requestIdleCallback ?? ((draw) => setTimeout(draw, 20));
  let isScheduled = false;
  const schedule = (milliseconds) => {
    if (isScheduled) return;
    isScheduled = true;
    setTimeout(() => whenIdle(drawNext, { timeout: 200 }), milliseconds);
  };
  const drawNext = () => {
    isScheduled = false;
    const next = document.querySelector(waiting);
    if (!next) return;
    const app = document.querySelector("[data-testid=stApp]");
    const isComplete = app?.dataset.testScriptState !== "running";
    if (isComplete) next.dataset.drawn = "";
    schedule(isComplete ? 0 : 30);
  };
  new MutationObserver(() => {
    if (document.querySelector(waiting)) schedule(0);
    // A diagram is scrolled with the keyboard too.
    document.querySelector("[data-testid=stGraphVizChart]:not([tabindex])")?.setAttribute("tabindex", "0");
  }).observe(document.body, { childList: true, subtree: true });
  // charts may be there before this script is
  schedule(0);
}
