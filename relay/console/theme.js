// A classic script in the head, so that the chosen scheme is set before the first paint.
try {
  const chosen = localStorage.getItem('relay.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // no storage: the system's scheme counts
}
