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

// Figures have small charts beside their values. They add nothing for a screen reader, and the parts
// that Vega draws have roles without names.
if (!window.hidesSmallCharts) {
  window.hidesSmallCharts = true;
  new MutationObserver(() => {
    for (const svg of document.querySelectorAll("[data-testid=stMetric] svg.marks:not([aria-hidden])"))
      svg.setAttribute("aria-hidden", "true");
  }).observe(document.body, { childList: true, subtree: true });
}
