// Follows links to the dashboard's own pages as the browser's Back and Forward buttons do: the
// address changes, and Streamlit shows the page of the new one. Streamlit's own links add addresses
// to the history that mix the parameters of two pages.
if (!window.followsPageLinks) {
  window.followsPageLinks = true;
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-page]");
    const opensElsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || opensElsewhere) return;
    event.preventDefault();
    if ("replace" in link.dataset) history.replaceState(null, "", link.href);
    else history.pushState(null, "", link.href);
    window.dispatchEvent(new PopStateEvent("popstate"));
    document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
  });
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
